package hook

import (
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"time"
)

// headerForwarded marks what another replica has handed on, so that nothing goes in a circle while the lead changes.
const headerForwarded = "X-Rollcall-Forwarded"

// forward hands a request to the replica that leads, which judges it as any other.
func (h *Receiver) forward(w http.ResponseWriter, r *http.Request) result {
	address, err := netip.ParseAddrPort(h.Leader())
	if err != nil || r.Header.Get(headerForwarded) != "" {
		return unavailable(w)
	}
	became := forwarded
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: address.String()})
			p.Out.Header.Set(headerForwarded, "1")
		},
		Transport: &http.Transport{ResponseHeaderTimeout: 10 * time.Second, DisableKeepAlives: true},
		ErrorLog:  slog.NewLogLogger(h.Logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			h.Logger.Warn("hand a webhook to the replica that leads", "address", address.String(), "error", err)
			became = unavailable(w)
		},
	}
	proxy.ServeHTTP(w, r)
	return became
}
