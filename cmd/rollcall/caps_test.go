package main

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/reader"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// capFlags are the flags by which caps are set.
func capFlags() (*caps, *pflag.FlagSet) {
	c, flags := &caps{}, pflag.NewFlagSet("controller", pflag.ContinueOnError)
	c.register(flags)
	return c, flags
}

// TestEveryCapHasAFlag sets every flag, and wants no limit without.
func TestEveryCapHasAFlag(t *testing.T) {
	c, flags := capFlags()
	c.git, c.render, c.reader = git.Limits{}, render.Limits{}, reader.Limits{} // no defaults
	flags.VisitAll(func(f *pflag.Flag) {
		value := "7"
		if f.Value.Type() == "duration" {
			value += "m"
		}
		if err := flags.Set(f.Name, value); err != nil {
			t.Errorf("--%s=%s: %v", f.Name, value, err)
		}
	})
	ofGit, ofRender, ofReader := c.limits()
	byOthers := []string{"FetchTimeout", "AnswerNesting"} // of the reader's own timeout, and a constant
	for _, limits := range []any{ofGit, ofRender, ofReader} {
		v := reflect.ValueOf(limits)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() != slices.Contains(byOthers, name) {
				t.Errorf("%s.%s is %v", v.Type(), name, v.Field(i))
			}
		}
	}
}

// TestErrorsNameFlags wants every flag that an error names to be one of the controller's.
func TestErrorsNameFlags(t *testing.T) {
	_, flags := capFlags()
	for _, file := range []string{"git/error.go", "render/tree.go", "reader/end.go", "reader/wire.go"} {
		source, err := os.ReadFile("../../sync/" + file)
		if err != nil {
			t.Fatal(err)
		}
		named := regexp.MustCompile(`--((?:max|reader)-[a-z-]+)`).FindAllSubmatch(source, -1)
		if len(named) == 0 {
			t.Errorf("%s names no flag", file)
		}
		for _, found := range named {
			if flags.Lookup(string(found[1])) == nil {
				t.Errorf("%s names --%s, which the controller has not", file, found[1])
			}
		}
	}
}

// TestTheChartKnowsTheCaps wants the chart's schema to have each flag, and no other.
func TestTheChartKnowsTheCaps(t *testing.T) {
	text, err := os.ReadFile("../../charts/rollcall/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Caps struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	_, flags := capFlags()
	var want []string
	flags.VisitAll(func(f *pflag.Flag) { want = append(want, f.Name) })
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(schema.Properties.Caps.Properties))); diff != "" {
		t.Errorf("caps (-flags +chart):\n%s", diff)
	}
}

// TestSizes are numbers of bytes as Kubernetes writes them.
func TestSizes(t *testing.T) {
	c, flags := capFlags()
	flags.SetOutput(io.Discard)
	if err := flags.Parse([]string{"--max-file-bytes=1Mi", "--reader-memory=1k"}); err != nil || c.fileBytes != 1<<20 || c.reader.Memory != 1000 {
		t.Errorf("%d and %d: %v", c.fileBytes, c.reader.Memory, err)
	}
	if err := flags.Parse([]string{"--max-file-bytes=much"}); err == nil {
		t.Error("much is a size")
	}
}
