package e2e

import (
	"io"
	"net/http"
	"testing"
)

// metricsText scrapes the controller.
func (w *world) metricsText(t *testing.T) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.control.Address+"/metrics", nil)
	if err != nil {
		t.Fatalf("scrape metrics: %v", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("scrape metrics: %v", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("scrape metrics: %s %v", answer.Status, err)
	}
	return string(text)
}
