package product

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used of the machine so far. Its children, which
// render, are not in it.
type Usage struct {
	// CPU is its time in user and kernel mode.
	CPU time.Duration
	// Resident and MostResident are bytes of memory now and at the most.
	Resident, MostResident int64
}

// ticks of CPU time in a second, in /proc.
const ticks = 100

// Usage reads what the controller has used, from Linux' /proc.
func (c *Controller) Usage() (Usage, error) {
	dir := "/proc/" + strconv.Itoa(c.process.Process.Pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Usage{}, fmt.Errorf("read usage of rollcall: %w", err)
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("read usage of rollcall: %w", err)
	}
	out := Usage{Resident: kilobytes(status, "VmRSS:"), MostResident: kilobytes(status, "VmHWM:")}
	// The name in parentheses may have blanks; utime and stime are 11 fields behind it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("read CPU time of rollcall: %w", err)
		}
		out.CPU += time.Duration(n) * time.Second / ticks
	}
	return out, nil
}

// kilobytes is the value of a line such as "VmRSS:   1234 kB", in bytes; 0 when
// there is none.
func kilobytes(status []byte, key string) int64 {
	for line := range strings.Lines(string(status)) {
		if value, is := strings.CutPrefix(line, key); is {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
