package main

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
)

// countRequests counts the requests to the API server by verb and code.
func countRequests(config *rest.Config, reg prometheus.Registerer) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_api_requests_total", Help: "Requests to the API server by verb and HTTP code.",
	}, []string{"verb", "code"})
	reg.MustRegister(requests)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(r)
			code := "error"
			if err == nil {
				code = strconv.Itoa(answer.StatusCode)
			}
			requests.WithLabelValues(verb(r), code).Inc()
			return answer, err
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	return f(r)
}

func verb(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Get("watch") == "true":
		return "watch"
	case q.Get("dryRun") != "":
		return "dry-run"
	default:
		return strings.ToLower(r.Method)
	}
}
