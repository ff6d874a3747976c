package reader

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/sync/git"
	"github.com/rollcall-dev/rollcall/sync/render"
)

// drawValue draws what an unstructured object may hold.
func drawValue(t *rapid.T, depth int) any {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(-1, kinds).Draw(t, "kind") {
	case 0:
		return rapid.Bool().Draw(t, "bool")
	case 1:
		return rapid.Int64().Draw(t, "int")
	case 2:
		f := rapid.Float64().Draw(t, "float")
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return 0.5
		}
		return f
	case 3:
		return math.Trunc(rapid.Float64Range(-1e22, 1e22).Draw(t, "whole float"))
	case 4:
		return rapid.String().Draw(t, "text")
	case 5:
		list := []any{}
		for range rapid.IntRange(0, 4).Draw(t, "length") {
			list = append(list, drawValue(t, depth-1))
		}
		return list
	case 6:
		return drawMapping(t, depth-1)
	default:
		return nil
	}
}

func drawMapping(t *rapid.T, depth int) map[string]any {
	out := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		out[rapid.String().Draw(t, "key")] = drawValue(t, depth)
	}
	return out
}

// TestObjectsArriveAsTheyWere holds of every value, to the type and the sign of zero.
func TestObjectsArriveAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawMapping(t, 3)
		text, err := json.Marshal(object(before))
		if err != nil {
			t.Fatal(err)
		}
		var after object
		if err := json.Unmarshal(text, &after); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if diff := cmp.Diff(before, map[string]any(after), cmp.Comparer(sameFloat)); diff != "" {
			t.Fatalf("(-before +after):\n%s\n%s", diff, text)
		}
	})
}

func sameFloat(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// TestWhatNoObjectHolds is refused rather than changed on its way.
func TestWhatNoObjectHolds(t *testing.T) {
	for _, value := range []any{1, int32(1), float32(1), math.NaN(), math.Inf(1), "\xff", []string{"a"}, map[string]string{}, struct{}{}} {
		if text, err := json.Marshal(object{"a": []any{value}}); err == nil {
			t.Errorf("%T %v became %s", value, value, text)
		}
	}
}

// fill gives every field that a struct shows a value that is not its zero value.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*unstructured.Unstructured]() {
			v.Set(reflect.ValueOf(&unstructured.Unstructured{Object: map[string]any{"number": int64(*n), "float": 2.0}}))
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 200))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Interface: // an error's cause, of which the table below speaks
	default:
		panic("a field of kind " + v.Kind().String() + " does not travel: give it another type, or the wire a form for it")
	}
}

// TestEveryFieldTravels fills every field of what is sent, and wants it on the other side: who adds a field to a source,
// to the options or to what is declared finds here whether it arrives.
func TestEveryFieldTravels(t *testing.T) {
	n := 0
	t.Run("a request, whose credentials refuse to be printed", func(t *testing.T) {
		var before, after order
		fill(reflect.ValueOf(&before).Elem(), &n)
		var wire bytes.Buffer
		if err := errors.Join(gob.NewEncoder(&wire).Encode(before), gob.NewDecoder(&wire).Decode(&after)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(before, after) { // cmp would print no credentials
			t.Errorf("%+v became %+v", before, after)
		}
	})
	t.Run("what is declared", func(t *testing.T) {
		var before render.Declared
		fill(reflect.ValueOf(&before).Elem(), &n)
		text, err := answer{Declared: newDeclared(&before)}.encode(Limits{}.orDefaults())
		if err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatal(err)
		}
		after, err := a.Declared.declared()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&before, after); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
	t.Run("a commit", func(t *testing.T) {
		var before fetched
		fill(reflect.ValueOf(&before).Elem(), &n)
		var out bytes.Buffer
		if err := tell(&out, before); err != nil {
			t.Fatal(err)
		}
		after, _ := listen(&out, Limits{}.orDefaults())
		if diff := cmp.Diff(&before, after.fetched); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
}

// TestErrorsArriveAsTheyWere sends errors, and wants the same ones: to be shown, compared and taken apart.
func TestErrorsArriveAsTheyWere(t *testing.T) {
	n := 0
	var fromGit git.Error
	fill(reflect.ValueOf(&fromGit).Elem(), &n)
	fromGit.Reason, fromGit.Err = git.LFSUnsupported, fs.ErrNotExist
	var fromRender render.Error
	fill(reflect.ValueOf(&fromRender).Elem(), &n)
	fromRender.Reason, fromRender.Err = render.BuildFailed, &fromGit
	plain := &render.Error{Reason: render.InvalidYAML, File: "a.yaml", Line: 7, Message: "no"}
	for name, before := range map[string]error{
		"of git":               &fromGit,
		"of git, stopped":      &git.Error{Reason: git.Unreachable, Err: context.Canceled},
		"of git, late":         &git.Error{Reason: git.Unreachable, Err: context.DeadlineExceeded},
		"of render":            plain,
		"of render, by git":    &fromRender,
		"of render, by a file": &render.Error{Reason: render.PathNotFound, Err: fs.ErrNotExist},
		"several":              render.Errors{plain, &fromRender},
		"several, of one":      render.Errors{plain},
		"of the reader":        errorf(AnswerExceeded, Rendering, "too much"),
		"of somebody else":     errorf(Failed, Rendering, "no"),
	} {
		t.Run(name, func(t *testing.T) {
			sent := before
			if name == "of somebody else" {
				sent = errors.New("no")
			}
			text, err := answer{Error: newFailure(sent)}.encode(Limits{}.orDefaults())
			if err != nil {
				t.Fatal(err)
			}
			var a answer
			if err := json.Unmarshal(text, &a); err != nil {
				t.Fatal(err)
			}
			if after := a.Error.error(); !reflect.DeepEqual(before, after) {
				t.Errorf("%#v became %#v", before, after)
			}
		})
	}
}

// TestMeasure counts as a decoder would make values, whatever the text is.
func TestMeasure(t *testing.T) {
	for text, want := range map[string]size{
		`{}`: {1, 1}, `{"a":1}`: {2, 1}, `[1,2,[3,4]]`: {5, 2}, `["[[[{{{,,,::","\"[\\"]`: {2, 1}, `[[[[[[`: {6, 6}, `}}}[`: {1, 0}, ``: {},
	} {
		if got := measure([]byte(text)); got != want {
			t.Errorf("%s measures %+v, want %+v", text, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		value := drawMapping(t, 3)
		text, err := json.Marshal(object(value))
		if err != nil {
			t.Fatal(err)
		}
		if got := measure(text).nodes; got < countValues(value) {
			t.Fatalf("%d values of %d are counted: %s", got, countValues(value), text)
		}
	})
}

// countValues counts lists, mappings, and of what they hold each but the first.
func countValues(value any) int64 {
	var out int64
	switch v := value.(type) {
	case map[string]any:
		out = int64(len(v)) + 1
		for _, field := range v {
			out += countValues(field)
		}
	case []any:
		out = int64(max(len(v), 1))
		for _, item := range v {
			out += countValues(item)
		}
	}
	return out
}

// TestADeepAnswerIsRefused before it is decoded.
func TestADeepAnswerIsRefused(t *testing.T) {
	text := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	if over := (Limits{}.orDefaults()).exceeded([]byte(text)); over == nil || over.Reason != AnswerExceeded {
		t.Errorf("the error is %v", over)
	}
}
