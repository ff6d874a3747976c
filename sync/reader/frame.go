package reader

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// kind is what a frame holds. The set is closed.
type kind byte

const (
	// frameCommit comes when the commit is fetched: what fails after that is said of it.
	frameCommit kind = 'c'
	// frameAnswer comes last.
	frameAnswer kind = 'a'
)

// longestCommit bounds a frame of a commit, whose texts are of bounded length.
const longestCommit = 64 << 10

func writeFrame(w io.Writer, k kind, payload []byte) error {
	header := binary.BigEndian.AppendUint32([]byte{byte(k)}, uint32(len(payload))) //nolint:gosec // the limits are far below 4 GiB
	if _, err := w.Write(append(header, payload...)); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// readFrame reads one frame, and nothing of one that is longer than what its kind may be. The error is io.EOF where
// there is none.
func readFrame(r io.Reader, longest int64) (kind, []byte, error) {
	var header [5]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	k, length := kind(header[0]), int64(binary.BigEndian.Uint32(header[1:]))
	switch k {
	case frameCommit:
		longest = min(longest, longestCommit)
	case frameAnswer:
	default:
		return 0, nil, errors.New("a frame of no known kind")
	}
	if length > longest {
		return 0, nil, fmt.Errorf("a frame of %d bytes", length)
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, err
	}
	return k, payload, nil
}

// heard is what the parent got of a child.
type heard struct {
	fetched *fetched
	answer  *answer
}

// listen reads frames until there is an answer. What it decodes was measured before.
func listen(stdout io.Reader, l Limits) (out heard, err error) {
	r := bufio.NewReader(stdout)
	for out.answer == nil {
		k, payload, err := readFrame(r, l.AnswerBytes+longestCommit)
		if err != nil {
			return out, err
		}
		switch k {
		case frameCommit:
			if out.fetched != nil {
				return out, errors.New("two commits")
			}
			out.fetched = &fetched{}
			err = json.Unmarshal(payload, out.fetched)
		case frameAnswer:
			if over := l.exceeded(payload); over != nil {
				return out, over
			}
			out.answer = &answer{}
			err = json.Unmarshal(payload, out.answer)
		}
		if err != nil {
			out.answer = nil
			return out, errors.New("a frame that cannot be decoded")
		}
	}
	return out, nil
}
