package apply

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
)

const (
	// packedSuffix is added to the key of a part that is kept gzipped, in binaryData.
	packedSuffix = ".gz"
	// packFrom is the size in bytes from which a part is: below it, people read it
	// with kubectl alone.
	packFrom = 64 << 10
	// maxState is what the API server takes in one ConfigMap, in bytes over all
	// values.
	maxState = 1 << 20
	// maxBegun of that may be taken when a wave begins: what comes of its nodes is
	// recorded beside them, and while a pulse is open that has to be possible.
	maxBegun = maxState / 4 * 3
	// maxUnpacked bounds what a packed part is read to, in bytes.
	maxUnpacked = 64 << 20
	// packLevel makes the records of a large fleet 5% smaller than gzip.BestSpeed
	// in about the same time.
	packLevel = 3
)

// content is what a ConfigMap holds, by key.
type content struct {
	text   map[string]string
	packed map[string][]byte
}

func (c content) size() int {
	sum := 0
	for _, v := range c.text {
		sum += len(v)
	}
	for _, v := range c.packed {
		sum += len(v)
	}
	return sum
}

func (c content) equal(cm *corev1.ConfigMap) bool {
	if len(c.text) != len(cm.Data) || len(c.packed) != len(cm.BinaryData) {
		return false
	}
	for k, v := range c.text {
		if old, known := cm.Data[k]; !known || old != v {
			return false
		}
	}
	for k, v := range c.packed {
		if old, known := cm.BinaryData[k]; !known || !bytes.Equal(old, v) {
			return false
		}
	}
	return true
}

// add encodes the value under the key.
func (c content) add(key string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if len(raw) < packFrom {
		c.text[key] = string(raw)
		return nil
	}
	c.packed[key+packedSuffix], err = pack(raw)
	return err
}

// keep takes the key over as the ConfigMap has it. It returns false when it does
// not have it.
func (c content) keep(key string, cm *corev1.ConfigMap) bool {
	text, plain := cm.Data[key]
	packed, known := cm.BinaryData[key+packedSuffix]
	switch {
	case plain:
		c.text[key] = text
	case known:
		c.packed[key+packedSuffix] = packed
	}
	return plain || known
}

// partOf decodes what the ConfigMap has under the key, and says whether it has
// anything. What somebody wrote in the clear goes before what is packed.
func partOf(cm *corev1.ConfigMap, key string, into any) (known bool, err error) {
	text, plain := cm.Data[key]
	packed, known := cm.BinaryData[key+packedSuffix]
	raw := []byte(text)
	if !plain && known {
		if raw, err = unpack(packed); err != nil {
			return true, err
		}
	}
	return plain || known, json.Unmarshal(raw, into)
}

func pack(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, packLevel)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxUnpacked {
		return nil, fmt.Errorf("it is more than %d MiB", maxUnpacked>>20)
	}
	return raw, nil
}

// room returns an error while the state takes more than is allowed. It says what
// takes the room: the records of the nodes, or versions, of which several are kept
// whole while one gives way to another.
func (c content) room(nodes, versions int, begins bool) error {
	limit, why := maxState, "which is all that a ConfigMap may hold"
	if begins {
		limit, why = maxBegun, "and the rest of a ConfigMap is for what comes of the wave that is to begin"
	}
	size := c.size()
	if size <= limit {
		return nil
	}
	took := 0
	for _, key := range []string{keyTemplates, keySpellings} {
		took += len(c.text[key]) + len(c.packed[key+packedSuffix])
	}
	if took > size/2 {
		return fmt.Errorf("the templates of %d versions take %d of the %d KiB of the state, which is more than %d KiB, %s: make the pod template smaller, such as by moving what is long in it to a ConfigMap",
			versions, took>>10, size>>10, limit>>10, why)
	}
	return fmt.Errorf("the state of %d nodes takes %d KiB, more than %d KiB, %s: split the DaemonSet in two by node selector", nodes, size>>10, limit>>10, why)
}
