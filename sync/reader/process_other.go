//go:build !linux

package reader

import (
	"os"
	"runtime/debug"
	"syscall"
)

// The controller runs on Linux. Elsewhere a child has its deadline, and its memory is a wish.

func self() string {
	name, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return name
}

func attributes() *syscall.SysProcAttr { return nil }

func keepFiles() {}

func killGroup(p *os.Process) error {
	if p == nil {
		return os.ErrProcessDone
	}
	return p.Kill()
}

func killedByOthers(*os.ProcessState) bool { return false }

func mostResident() int64 { return 0 }

func confine(l Limits) error {
	debug.SetMemoryLimit(l.Memory * 3 / 4)
	return nil
}
