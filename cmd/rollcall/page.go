package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/sync/hook"
)

// noAddress is the value of an address flag that has nothing served.
const noAddress = "0"

// servePage answers webhooks on the page's address until ctx is done.
func (p *process) servePage(ctx context.Context) error {
	if p.flags.pageAddress == noAddress {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("/hook/{namespace}/{name}", &hook.Receiver{
		Token: p.syncs.WebhookToken, Hint: p.syncs.Hint,
		Leads: p.leads.Load, Leader: p.leaderAddress,
		Logger: p.logger, Requests: hook.NewRequests(p.registry),
	})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.flags.pageAddress)
	if err != nil {
		return fmt.Errorf("listen on --page-bind-address (%s serves none): %w", noAddress, err)
	}
	p.logger.Info("serving the page", "address", listener.Addr().String())
	// Anybody may call it: nobody may hold a connection for longer than a webhook takes.
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	if err := serveUntil(ctx, server, listener); err != nil {
		return fmt.Errorf("serve the page: %w", err)
	}
	return nil
}

// reachedAt is where other replicas reach this one's page, as IP:PORT; empty if that is not known.
func (f *controllerFlags) reachedAt() string {
	_, port, err := net.SplitHostPort(f.pageAddress)
	if err != nil || f.podIP == "" {
		return ""
	}
	at, err := netip.ParseAddrPort(net.JoinHostPort(f.podIP, port))
	if err != nil || at.Port() == 0 {
		return ""
	}
	return at.String()
}

// leaderAddress is where the replica that leads is reached, as its name in the lease says; empty if that is not known.
func (p *process) leaderAddress() string {
	holder := p.holder.Load()
	if holder == nil {
		return ""
	}
	_, at, _ := strings.Cut(*holder, "@")
	return at
}
