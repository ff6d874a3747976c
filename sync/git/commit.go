package git

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"
)

// Commit is what people want to know of a commit. The texts come from whoever pushed it; they are one line
// each and of bounded length.
type Commit struct {
	// Hash is the full hex name.
	Hash string
	// Author is "Name <address>".
	Author string
	// Subject is the first line of the message.
	Subject string
	// Time is when it was committed, in UTC, by the clock of whoever did.
	Time time.Time
	// SignedBy is whose signature was verified, as a key with a name; empty when none was asked for.
	SignedBy string
	// Parents are the full hex names of the commits before it.
	Parents []string
}

func newCommit(c *object.Commit) Commit {
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	var parents []string
	for _, parent := range c.ParentHashes {
		parents = append(parents, parent.String())
	}
	return Commit{
		Parents: parents,
		Hash:    c.Hash.String(),
		Author:  line(fmt.Sprintf("%s <%s>", c.Author.Name, c.Author.Email)),
		Subject: line(subject),
		Time:    c.Committer.When.UTC(),
	}
}

// line makes a text fit for a status and a terminal: valid UTF-8 without control characters, at most 200 runes.
func line(text string) string {
	const longest = 200
	clean := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r <= 0x9f || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�")))
	if len(clean) > longest {
		clean = append(clean[:longest], '…')
	}
	return strings.TrimSpace(string(clean))
}
