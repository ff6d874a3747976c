package git

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// sieve lets through of a server's list of refs, as it comes, what somebody asked for: a list of a million refs costs no
// more memory than one of ten. Of the others it counts those below a prefix and keeps a few names, for who has to say that
// a ref is not there.
//
// It reads packet lines: four hex digits of length, then "HASH NAME\n", of which the first one has the capabilities too.
// What it does not know it lets through as it is, for go-git to judge.
type sieve struct {
	io.Closer

	lines *bufio.Reader
	// wants is whether a ref is asked for; a peeled tag belongs to its ref.
	wants  func(name []byte) bool
	beside string

	// all counts the refs, below those below the prefix, and some are the first of these.
	all, below int
	some       []string

	ready []byte
	// raw is set when the lines are none.
	raw bool
}

const (
	// longestLine is the longest packet line that Git writes.
	longestLine = 65520
	// someNames is how many names an error spells out.
	someNames = 10
)

func newSieve(body io.ReadCloser, s Source) *sieve {
	beside := "refs/heads/"
	if strings.HasPrefix(s.Ref, "refs/tags/") {
		beside = "refs/tags/"
	}
	return &sieve{Closer: body, lines: bufio.NewReaderSize(body, longestLine), wants: s.wants, beside: beside}
}

// wants is whether the list of refs is asked for this one.
func (s Source) wants(name []byte) bool {
	return string(name) == s.Ref
}

// lists is whether an answer is a server's list of refs.
func lists(r *http.Response) bool {
	return r.StatusCode == http.StatusOK && r.Header.Get("Content-Type") == "application/x-git-upload-pack-advertisement"
}

// Read returns what passed.
func (s *sieve) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if s.raw {
			return s.lines.Read(p)
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// next reads one line, and leaves it in ready if it passes.
func (s *sieve) next() error {
	header, err := s.lines.Peek(4)
	if errors.Is(err, io.EOF) && len(header) > 0 {
		s.raw = true
		return nil
	}
	if err != nil {
		return err
	}
	length, ok := lineLength(header)
	if !ok {
		s.raw = true
		return nil
	}
	line, err := s.lines.Peek(length)
	if errors.Is(err, io.EOF) {
		s.raw = true
		return nil
	}
	if err != nil {
		return err
	}
	if s.passes(line[4:]) {
		s.ready = append(s.ready[:0], line...)
	}
	_, err = s.lines.Discard(length)
	return err
}

// lineLength is the length of a packet line with its header; that of a flush is four.
func lineLength(header []byte) (length int, ok bool) {
	n, err := strconv.ParseUint(string(header), 16, 16)
	return max(int(n), 4), err == nil && (n == 0 || n >= 4) && n <= longestLine
}

// passes looks at what a line says.
func (s *sieve) passes(line []byte) bool {
	const hash = 40
	if len(line) <= hash || line[hash] != ' ' {
		return true // the end of a list, the name of the service, a shallow commit
	}
	name, _, first := bytes.Cut(bytes.TrimSuffix(line[hash+1:], []byte("\n")), []byte{0})
	ref, peeled := bytes.CutSuffix(name, []byte("^{}"))
	if !peeled && string(ref) != "HEAD" {
		s.all++
		if bytes.HasPrefix(ref, []byte(s.beside)) {
			s.note(ref)
		}
	}
	return first || s.wants(ref)
}

func (s *sieve) note(ref []byte) {
	if s.below++; len(s.some) < someNames {
		s.some = append(s.some, string(bytes.TrimPrefix(ref, []byte(s.beside))))
	}
}
