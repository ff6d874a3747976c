package sync

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/rollcall-dev/rollcall/sync/reader"
)

// TestMain plays the child too: the tests start their own binary, as the controller starts its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		if err := reader.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
