package git

import (
	"bytes"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// acknowledge asks for the richest way of acknowledging that the server has. Azure DevOps and AWS CodeCommit answer no
// client that does not, though a clone into an empty directory has nothing to be acknowledged: whatever is asked for, the
// server says NAK once. go-git hides the two capabilities from who opens a session, and its switch for that is a global.
func (c *session) acknowledge(request *capability.List) error {
	request.Delete(capability.ThinPack) // a pack that refers to what is not in it cannot be read
	if request.Supports(capability.MultiACKDetailed) || request.Supports(capability.MultiACK) {
		return nil
	}
	for _, way := range []capability.Capability{capability.MultiACKDetailed, capability.MultiACK} {
		if c.wire.offers(way) {
			return request.Set(way)
		}
	}
	return nil
}

// longestListing is enough for the first line of a list of refs: its capabilities are part of one packet line.
const longestListing = 128 << 10

// keep remembers the beginning of what the server sends, to the end of the line of its capabilities.
func (w *wire) keep(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, line, found := bytes.Cut(w.listing, []byte{0}); len(w.listing) < longestListing && !(found && bytes.Contains(line, []byte("\n"))) {
		w.listing = append(w.listing, p...)
	}
}

// forget begins anew with the answer to another request: what came before was a redirect.
func (w *wire) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit == "RefBytes" {
		w.listing = nil
	}
}

// offers is whether the server has named a capability, behind the zero byte of its first ref.
func (w *wire) offers(wanted capability.Capability) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, line, _ := bytes.Cut(w.listing, []byte{0})
	line, _, _ = bytes.Cut(line, []byte("\n"))
	return slices.ContainsFunc(bytes.Fields(line), func(field []byte) bool { return string(field) == wanted.String() })
}
