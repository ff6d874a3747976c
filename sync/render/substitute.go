package render

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
)

// SubstituteAnnotation set to "disabled" on an object keeps its texts as they are written.
const SubstituteAnnotation = "rollcall.dev/substitute"

// substitution puts values in the place of variables, in every text and every key of an object. What expressions there
// are is the business of the library, which Flux has its own from.
type substitution struct {
	variables, secret map[string]string
	// room is how many bytes the texts may still become longer.
	room int64
	errs Errors
	// of is the object that is looked at, and hidden whether it is a Secret, of which no message may quote a word.
	of     declaration
	hidden bool
	// typed are the texts that were nothing but one expression: where Kubernetes wants a number, it is one.
	typed []place
}

// place is a field of an object.
type place struct {
	of   declaration
	path []any
	set  func(any)
	text string
}

func substitute(all []declaration, o Options, room int64) error {
	s := &substitution{variables: o.Variables, secret: o.SecretVariables, room: room}
	for _, d := range all {
		if d.object.GetAnnotations()[SubstituteAnnotation] == "disabled" {
			continue
		}
		s.of, s.hidden = d, d.object.GetKind() == "Secret"
		s.value(d.object.Object, nil, func(any) {})
	}
	if err := s.errs.orNil(); err != nil {
		return err
	}
	return convert(s.typed)
}

// value walks a value and changes it where it stands.
func (s *substitution) value(v any, path []any, set func(any)) {
	switch v := v.(type) {
	case map[string]any:
		s.names(v, path)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			s.value(v[name], append(path[:len(path):len(path)], name), func(to any) { v[name] = to })
		}
	case []any:
		for i := range v {
			s.value(v[i], append(path[:len(path):len(path)], i), func(to any) { v[i] = to })
		}
	case string:
		text, whole := s.text(v, path)
		if text == v {
			return
		}
		set(text)
		if whole {
			s.typed = append(s.typed, place{of: s.of, path: path, set: set, text: text})
		}
	}
}

// names substitutes in the keys of a mapping.
func (s *substitution) names(m map[string]any, path []any) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		to, _ := s.text(name, append(path[:len(path):len(path)], name))
		if to == name {
			continue
		}
		if _, taken := m[to]; taken {
			s.fail(path, "two keys are the same once their variables have values")
			continue
		}
		m[to] = m[name]
		delete(m, name)
	}
}

// longestExpression is how long one expression may be, in bytes: the library looks at it recursively.
const longestExpression = 4096

// text returns the text with its variables replaced, and whether it was nothing but one expression.
func (s *substitution) text(text string, path []any) (out string, whole bool) {
	if !strings.Contains(text, "${") {
		return text, false
	}
	var b strings.Builder
	rest := text
	for {
		before, after, found := strings.Cut(rest, "${")
		if !found {
			b.WriteString(rest)
			return b.String(), whole
		}
		if strings.HasSuffix(before, "$") { // $${ is how ${ itself is written
			b.WriteString(before + "{")
			rest = after
			continue
		}
		b.WriteString(before)
		end := closing(after)
		if end < 0 {
			s.fail(path, "a ${ has no }"+literally)
			return text, false
		}
		value, ok := s.expression(after[:end], path)
		if !ok {
			return text, false
		}
		whole = before == "" && rest == text && end+1 == len(after)
		if s.room -= int64(len(value)); s.room < 0 {
			s.fail(path, "the values of variables make the objects larger than a build may be")
			return text, false
		}
		b.WriteString(value)
		rest = after[end+1:]
	}
}

const literally = ": write $${ where ${ is meant as it stands, or annotate the object " + SubstituteAnnotation + ": disabled"

// closing is where the brace of an expression is that has been opened; -1 when nowhere near.
func closing(text string) int {
	depth := 1
	for i := 0; i < min(len(text), longestExpression); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
		case text[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// expression is the value of what stands between ${ and }.
func (s *substitution) expression(inside string, path []any) (value string, ok bool) {
	l := &lookup{substitution: s, shown: !s.hidden || len(path) == 0 || path[0] != "data" && path[0] != "stringData"}
	value, err := evaluate(inside, l.value)
	switch {
	case l.betrayed:
		s.fail(path, "a variable here comes from a Secret, and this field is shown in plans and messages: use it in the data or stringData of "+
			"a Secret, or take the value from a ConfigMap")
	case err == nil:
		return value, true
	case l.missing != "" && s.hidden:
		s.fail(path, "a variable has no value, and no default as in ${name:=default}"+literally)
	case l.missing != "":
		s.fail(path, fmt.Sprintf("the variable %s has no value, and no default as in ${%s:=default}: give it one in spec.substitute, or%s",
			l.missing, l.missing, strings.TrimPrefix(literally, ":")))
	default:
		s.fail(path, "what stands between ${ and } is no expression that is known"+literally)
	}
	return "", false
}

// lookup finds the variables of one expression.
type lookup struct {
	*substitution
	// shown is whether the field is, so that no secret may stand in it; betrayed is whether one would.
	shown, betrayed bool
	// missing is a variable that has no value.
	missing string
}

func (l *lookup) value(name string) (string, bool) {
	v, set := l.secret[name]
	l.betrayed = l.betrayed || set && l.shown
	if !set {
		v, set = l.variables[name]
	}
	if !set {
		l.missing = name
	}
	return v, set
}

// evaluate asks the library. What it takes for a default and is none in any shell is refused.
func evaluate(inside string, lookup func(string) (string, bool)) (value string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the expression cannot be evaluated")
		}
	}()
	if regexp.MustCompile(`^\w+:?[?+]`).MatchString(inside) {
		return "", errors.New("this operator is not supported")
	}
	return envsubst.Eval("${"+inside+"}", lookup)
}

func (s *substitution) fail(path []any, message string) {
	s.errs.add(&Error{Reason: SubstitutionFailed, File: s.of.source, Object: title(s.of.object.Object), Field: dotted(path), Message: message})
}

// dotted is a path as messages have it.
func dotted(path []any) string {
	var b strings.Builder
	for _, step := range path {
		if i, isIndex := step.(int); isIndex {
			b.WriteString("[" + strconv.Itoa(i) + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		fmt.Fprint(&b, step)
	}
	return b.String()
}
