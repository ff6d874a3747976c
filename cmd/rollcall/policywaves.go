package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func validateWaves(at *field.Path, waves []v1alpha1.Wave) field.ErrorList {
	if len(waves) == 0 {
		return field.ErrorList{field.Required(at, "write at least one, the last with upTo: 100%")}
	}
	var out field.ErrorList
	if len(waves) > 20 {
		out = append(out, field.TooMany(at, len(waves), 20))
	}
	names := map[string]bool{}
	highest := map[intstr.Type]int{intstr.Int: 0, intstr.String: 0}
	for i, w := range waves {
		at := at.Index(i)
		for _, problem := range validation.IsDNS1123Label(w.Name) {
			out = append(out, field.Invalid(at.Child("name"), w.Name, problem))
		}
		if names[w.Name] {
			out = append(out, field.Invalid(at.Child("name"), w.Name, "wave names must be unique"))
		}
		names[w.Name] = true
		out = append(out, between(at.Child("soak"), w.Soak, 0, 168*time.Hour, "5m")...)
		out = append(out, validateShare(at.Child("upTo"), "upTo", w.UpTo)...)
		n := number(w.UpTo)
		if n <= highest[w.UpTo.Type] {
			out = append(out, field.Invalid(at.Child("upTo"), w.UpTo.String(), "upTo is cumulative: the "+kindOf(w.UpTo)+" of waves must grow"))
		}
		highest[w.UpTo.Type] = max(n, highest[w.UpTo.Type])
	}
	if last := waves[len(waves)-1]; last.UpTo != intstr.FromString("100%") {
		out = append(out, field.Invalid(at.Index(len(waves)-1).Child("upTo"), last.UpTo.String(), "the last wave must be upTo: 100%"))
	}
	return out
}

// validateShare wants a count or a percentage of nodes.
func validateShare(at *field.Path, name string, v intstr.IntOrString) field.ErrorList {
	valid := v.Type == intstr.Int && v.IntVal >= 1 && v.IntVal <= 100_000
	if v.Type == intstr.String {
		valid = regexp.MustCompile(`^([1-9][0-9]?|100)%$`).MatchString(v.StrVal)
	}
	if valid {
		return nil
	}
	return field.ErrorList{field.Invalid(at, v.String(), fmt.Sprintf("%s must be a count from 1 to 100000 or a percentage from 1%% to 100%%", name))}
}

func kindOf(v intstr.IntOrString) string {
	if v.Type == intstr.Int {
		return "counts"
	}
	return "percentages"
}

// number is the count or the percentage.
func number(v intstr.IntOrString) int {
	n, err := strconv.Atoi(strings.TrimSuffix(v.String(), "%"))
	if err != nil {
		return math.MaxInt // what is neither is said elsewhere
	}
	return n
}
