package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// What is measured, in that order.
const (
	firstApply = "first apply"
	unchanged  = "nothing changed"
	oneChanged = "one changed"
	drifted    = "drift corrected"
	compared   = "compared only"
)

// row is what one thing took one tool.
type row struct {
	tool, what string
	objects    int
	wall, pass time.Duration
	cpu        time.Duration
	requests   map[string]int
}

// report prints the table and what the product promises.
func (c *sideBySide) report(b *testing.B) {
	b.Helper()
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "objects\twhat\ttool\tseconds\tin the pass\tCPU s\trequests\tby verb")
	slices.SortStableFunc(c.rows, func(a, b row) int {
		if a.objects != b.objects {
			return a.objects - b.objects
		}
		order := []string{firstApply, unchanged, oneChanged, drifted, compared}
		return slices.Index(order, a.what) - slices.Index(order, b.what)
	})
	seconds := map[string]float64{}
	for _, r := range c.rows {
		sum, verbs := 0, []string(nil)
		for _, verb := range slices.Sorted(maps.Keys(r.requests)) {
			sum += r.requests[verb]
			verbs = append(verbs, fmt.Sprintf("%s %d", verb, r.requests[verb]))
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%.2f\t%.2f\t%.2f\t%d\t%s\n", r.objects, r.what, r.tool, r.wall.Seconds(), r.pass.Seconds(), r.cpu.Seconds(), sum, strings.Join(verbs, ", "))
		if r.objects == 500 && r.what == firstApply {
			seconds[r.tool] = r.pass.Seconds()
		}
	}
	_ = table.Flush()          // a strings.Builder takes everything
	fmt.Println(text.String()) // a benchmark's log is cut after ten lines
	u := c.usage()
	b.ReportMetric(seconds["rollcall"]/seconds["bare"], "x_bare-first-500")
	b.ReportMetric(float64(u.Resident)/(1<<20), "MiB-resident")
	b.ReportMetric(float64(u.MostResident)/(1<<20), "MiB-most")
}
