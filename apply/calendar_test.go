package apply

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rollcall-dev/rollcall/sync/v1alpha1"
)

func TestCalendarOfAPolicy(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		window v1alpha1.Window
		wrong  string // what the error names; empty for none
	}{
		"a window of office hours":          {v1alpha1.Window{Schedule: "0 9 * * MON-THU", TimeZone: "Europe/Berlin"}, ""},
		"the zone is UTC if it is left out": {v1alpha1.Window{Schedule: "0 9 * * *"}, ""},
		"a zone that does not exist":        {v1alpha1.Window{Schedule: "0 9 * * *", TimeZone: "Europe/Berln"}, "spec.windows[0].timeZone"},
		"the zone of some machine":          {v1alpha1.Window{Schedule: "0 9 * * *", TimeZone: "Local"}, "spec.windows[0].timeZone"},
		"an hour that does not exist":       {v1alpha1.Window{Schedule: "0 25 * * *"}, "spec.windows[0].schedule"},
		"too few fields":                    {v1alpha1.Window{Schedule: "0 9 * *"}, "spec.windows[0].schedule"},
	} {
		c.window.Duration = metav1.Duration{Duration: time.Hour}
		got, err := readCalendar(v1alpha1.RolloutPolicySpec{Windows: []v1alpha1.Window{c.window}})
		switch {
		case c.wrong == "" && (err != nil || len(got.Windows) != 1 || got.Windows[0].For != time.Hour):
			t.Errorf("%s: %+v, %v", sentence, got, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: error %v, want one that names %s", sentence, err, c.wrong)
		}
	}
}
