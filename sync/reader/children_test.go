package reader

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rollcall-dev/rollcall/sync/git"
)

const testMemory = 96 << 20

func confineTest() {
	if err := confine(Limits{Memory: testMemory}); err != nil {
		panic(err)
	}
}

//go:noinline
func blowUp() {
	var m map[string]int
	m["s3cr3t-CANARY"] = 1 //nolint:govet,staticcheck // it is to panic
}

func endless() {
	chunk := []byte(strings.Repeat("a", 1<<20))
	for {
		if _, err := os.Stdout.Write(chunk); err != nil {
			return
		}
	}
}

func commitFirst() {
	_ = tell(os.Stdout, fetched{Commit: git.Commit{Hash: strings.Repeat("1", 40), Subject: "one"}})
}

func answerWith(text string) { _ = writeFrame(os.Stdout, frameAnswer, []byte(text)) }

func manyValues() string {
	return `{"Declared":{"Objects":[{"Object":{"a":[` + strings.TrimSuffix(strings.Repeat("0,", 2_000_000), ",") + `]}}]}}`
}

func eat() {
	var held [][]byte
	for range 1 << 12 {
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = byte(i)
		}
		held = append(held, block)
	}
	fmt.Fprintln(os.Stderr, len(held))
}

//go:noinline
func deeper(n int) int {
	var room [1024]byte
	room[n%len(room)] = 1
	return deeper(n+1) + int(room[(n+1)%len(room)]) //nolint:staticcheck // it is to overflow
}

// tellItself puts what the process has into the subject of a commit.
func tellItself() {
	env := os.Environ()
	slices.Sort(env)
	var files []string // but those that Go opens for itself
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "anon_inode") && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
			to, _, _ = strings.Cut(to, ":")
			files = append(files, e.Name()+" "+to)
		}
	}
	dir, _ := os.Getwd()
	self, _ := syscall.Getpgid(0)
	text, _ := json.Marshal(map[string]any{"env": env, "files": files, "dir": dir, "args": os.Args[1:], "leads": strconv.Itoa(self) == strconv.Itoa(os.Getpid())})
	_ = tell(os.Stdout, fetched{Commit: git.Commit{Subject: string(text)}})
}
