package reader

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"
)

// TestMain plays the child too: the tests start their own binary, as the controller starts its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if play, known := children()[os.Args[1]]; known {
			play()
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// children are what a child may turn out to be.
func children() map[string]func() {
	return map[string]func(){
		"child": func() {
			if err := Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		},
		"says-nothing":  func() {},
		"exits":         func() { os.Exit(7) },
		"log-fatal":     func() { log.Fatal("s3cr3t-CANARY") },
		"panics":        func() { blowUp() },
		"garbage":       func() { fmt.Print("<html>hello, this is not a frame at all") },
		"half-a-frame":  func() { _, _ = os.Stdout.Write([]byte{'a', 0, 0, 0, 9, '{'}) },
		"huge-frame":    func() { _, _ = os.Stdout.Write([]byte{'a', 0xff, 0xff, 0xff, 0xff}); endless() },
		"endless":       endless,
		"not-json":      func() { answerWith("{{{{") },
		"no-parts":      func() { answerWith("{}") },
		"unasked":       func() { commitFirst(); answerWith(`{"Unchanged":true}`) },
		"many-values":   func() { commitFirst(); answerWith(manyValues()) },
		"two-commits":   func() { commitFirst(); commitFirst() },
		"hangs":         func() { commitFirst(); select {} },
		"eats-memory":   func() { confineTest(); eat() },
		"eats-stack":    func() { confineTest(); fmt.Fprintln(os.Stderr, deeper(0)) },
		"is-killed":     func() { commitFirst(); _ = killGroup(&os.Process{Pid: os.Getpid()}); select {} },
		"says-and-dies": func() { commitFirst(); panic("s3cr3t-CANARY") },
		"tells-itself":  tellItself,
	}
}
