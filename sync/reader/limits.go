package reader

import (
	"cmp"
	"time"
)

// Limits bound what one child may cost, and what it may hand over. A field that is zero means its default.
type Limits struct {
	// Children is how many run at once; default 2.
	Children int
	// Memory is how much of it a child may have, in bytes, beside its program; default 512 MiB. Its collector works
	// harder from three quarters of that on.
	Memory int64
	// Timeout bounds one child; default 3 min.
	Timeout time.Duration
	// AnswerBytes is the size of what a commit declares, as JSON; default 32 MiB.
	AnswerBytes int64
	// AnswerNodes is the number of values of what a commit declares; default 1,000,000.
	AnswerNodes int64
	// AnswerNesting is how deep they nest; default 200.
	AnswerNesting int64
}

func (l Limits) orDefaults() Limits {
	return Limits{
		Children:      cmp.Or(l.Children, 2),
		Memory:        cmp.Or(l.Memory, 512<<20),
		Timeout:       cmp.Or(l.Timeout, 3*time.Minute),
		AnswerBytes:   cmp.Or(l.AnswerBytes, 32<<20),
		AnswerNodes:   cmp.Or(l.AnswerNodes, 1_000_000),
		AnswerNesting: cmp.Or(l.AnswerNesting, 200),
	}
}
