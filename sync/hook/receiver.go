package hook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxBody is the size of the largest body that is heard: GitHub sends up to 25 MB. None is kept.
	maxBody = 25 << 20
	// refusal is how long a request that is refused takes, whatever is wrong with it; looking for the token is given up
	// after that.
	refusal = time.Second
)

// result is what became of a request, for the metric.
type result string

// The results. The set is closed.
const (
	accepted  result = "accepted"
	refused   result = "refused"
	limited   result = "limited"
	forwarded result = "forwarded"
	unready   result = "unready"
	malformed result = "malformed"
)

// ErrUnready is a replica that leads and does not know yet which GitSyncs there are.
var ErrUnready = errors.New("the GitSyncs are not known yet")

// Receiver hears webhooks at /hook/NAMESPACE/NAME. It is an http.Handler for this path and for none else.
type Receiver struct {
	// Token is what the webhooks of a GitSync are signed with; empty if there is no such GitSync, or none of its webhooks
	// is to be heard. With an error too none is heard, for now.
	Token func(ctx context.Context, key types.NamespacedName) ([]byte, error)
	// Hint has Git asked soon.
	Hint func(key types.NamespacedName)
	// Leads is whether this replica is the one that asks Git; Leader is the address of the one that does, as
	// IP:PORT, and empty while that is not known.
	Leads  func() bool
	Leader func() string
	Logger *slog.Logger
	// Requests counts by result; see NewRequests.
	Requests *prometheus.CounterVec

	once   sync.Once
	limits *limits
}

// NewRequests registers the metric of a Receiver.
func NewRequests(reg prometheus.Registerer) *prometheus.CounterVec {
	out := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_webhooks_total", Help: "Webhooks by result."}, []string{"result"})
	reg.MustRegister(out)
	for _, r := range []result{accepted, refused, limited, forwarded, unready, malformed} {
		out.WithLabelValues(string(r)) // none so far is a number too
	}
	return out
}

// ServeHTTP answers 202 when Git will be asked, 403 when nobody is told why not, 429 and 503 when it is to be tried
// again.
func (h *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(func() { h.limits = newLimits() })
	key := types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
	became := h.serve(w, r, key)
	h.Requests.WithLabelValues(string(became)).Inc()
}

func (h *Receiver) serve(w http.ResponseWriter, r *http.Request, key types.NamespacedName) result {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return answer(w, malformed, http.StatusMethodNotAllowed, "a webhook is a POST")
	}
	leave, ok := h.limits.enter(key)
	if !ok {
		w.Header().Set("Retry-After", "10")
		return answer(w, limited, http.StatusTooManyRequests, "too many webhooks: try again later")
	}
	defer leave()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if !h.Leads() {
		return h.forward(w, r)
	}
	return h.judge(w, r, key)
}

// judge is what the replica that leads does.
func (h *Receiver) judge(w http.ResponseWriter, r *http.Request, key types.NamespacedName) result {
	refuseAt := time.Now().Add(refusal)
	ctx, cancel := context.WithDeadline(r.Context(), refuseAt)
	token, err := h.Token(ctx, key)
	cancel()
	if errors.Is(err, ErrUnready) {
		return unavailable(w)
	}
	if err != nil {
		h.Logger.Warn("read the token of webhooks", "gitsync", key.String(), "error", err)
		token = nil
	}
	right, err := proofOf(r.Header, time.Now()).proves(token, r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return answer(w, malformed, http.StatusRequestEntityTooLarge, "the body is too large")
	case err != nil:
		return answer(w, malformed, http.StatusBadRequest, "the body cannot be read")
	case right:
		h.Hint(key)
		h.Logger.Debug("webhook", "gitsync", key.String())
		return answer(w, accepted, http.StatusAccepted, "Git will be asked")
	}
	if len(token) > 0 {
		h.Logger.Info("a webhook is not signed with the token of the GitSync", "gitsync", key.String())
	}
	if !waitUntil(r.Context(), refuseAt) {
		return refused
	}
	return answer(w, refused, http.StatusForbidden, "there is no such GitSync, its spec.source.webhookSecretRef names no Secret with a token, or this is not signed with it")
}

// waitUntil returns whether that time has come while somebody still waits.
func waitUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func answer(w http.ResponseWriter, became result, status int, text string) result {
	http.Error(w, text, status)
	return became
}

func unavailable(w http.ResponseWriter) result {
	w.Header().Set("Retry-After", "10")
	return answer(w, unready, http.StatusServiceUnavailable, "this replica cannot ask Git now: try again later")
}
