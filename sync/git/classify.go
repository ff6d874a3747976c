package git

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// classify turns an error of a session into ours. What the server or a library said is repeated only where it
// helps and then without secrets.
func (s Source) classify(ctx context.Context, w *wire, err error) *Error {
	return s.recognise(ctx, w, err).until(w.retryAt())
}

func (s Source) recognise(ctx context.Context, w *wire, err error) *Error {
	if over := w.overrun(); over != nil {
		return over
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.DeadlineExceeded):
		return s.errorf(Unreachable, "the server did not answer in time: look at the network and the server").because(cause)
	case cause != nil:
		return s.errorf(Unreachable, "stopped while waiting for the server").because(cause)
	}
	err = inside(err)
	if e := s.uncertified(w, err); e != nil {
		return e
	}
	for _, known := range []func(error) *Error{s.refusal, s.distrust, s.misdirection, s.outage} {
		if e := known(err); e != nil {
			return e
		}
	}
	return s.errorf(InvalidAnswer, "the answer is not that of a Git server (%s): look at the URL", s.scrub(err.Error()))
}

// refusal recognises the answers in which the server says no.
func (s Source) refusal(err error) *Error {
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return s.errorf(EmptyRepository, "the repository has no commits yet: push one")
	case errors.Is(err, transport.ErrAuthenticationRequired) && s.Auth == Auth{}:
		return s.errorf(AuthenticationFailed, "the server wants credentials: name a Secret in secretRef")
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return s.errorf(AuthenticationFailed, "the server does not accept the credentials (401), or they were not sent because "+
			"it redirects to another host: renew the Secret of secretRef, or use the final URL")
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return s.errorf(AuthenticationFailed, "the server forbids it (403): give these credentials read access to the repository")
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return s.errorf(RepositoryNotFound, "the server has no such repository, or hides it from these credentials (404): look at the URL and secretRef")
	}
	return nil
}

// uncertified recognises a server that has asked for a certificate of the client and ends TLS then.
func (s Source) uncertified(w *wire, err error) *Error {
	said := innermost(err)
	switch {
	case !w.certificateWanted() || !strings.Contains(err.Error(), "remote error: tls: "): // the alert has no type
		return nil
	case s.Auth.ClientCert == "":
		return s.errorf(AuthenticationFailed, "the server wants a client certificate (%s): add tls.crt and tls.key to secretRef", said)
	default:
		return s.errorf(AuthenticationFailed, "the server does not accept the client certificate (%s): renew tls.crt and tls.key of secretRef", said)
	}
}

// distrust recognises the errors of TLS.
func (s Source) distrust(err error) *Error {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	switch {
	case verification || authority || host:
		return s.errorf(CertificateInvalid, "the certificate of the server is not trusted (%s): put its CA into caFile of secretRef", s.scrub(innermost(err)))
	case record || alert || errors.Is(err, http.ErrSchemeMismatch):
		return s.errorf(CertificateInvalid, "the server does not speak TLS as it should (%s): look at the URL and its port", s.scrub(innermost(err)))
	}
	return nil
}

// misdirection recognises the redirects that the transport does not follow; their errors have no type.
func (s Source) misdirection(err error) *Error {
	if strings.Contains(err.Error(), "http redirect") {
		return s.errorf(InvalidAnswer, "the server redirects to where a Git client must not follow: use the final URL")
	}
	return nil
}

// outage recognises a server that is not there, or says that it cannot answer now.
func (s Source) outage(err error) *Error {
	if status, ok := errors.AsType[*githttp.Err](err); ok {
		if status.StatusCode() == http.StatusProxyAuthRequired {
			return s.errorf(AuthenticationFailed, "the proxy wants other credentials (407): correct username and password of proxySecretRef")
		}
		if code := status.StatusCode(); code >= 500 || code == 429 {
			return s.errorf(Unreachable, "the server answers %d: it will be asked again", code)
		}
		return s.errorf(InvalidAnswer, "the server answers %d: look at the URL", status.StatusCode())
	}
	if said := err.Error(); strings.Contains(said, "socks connect") && strings.Contains(said, "authentication") { // it has no type
		return s.errorf(AuthenticationFailed, "the proxy wants other credentials: correct username and password of proxySecretRef")
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return s.errorf(Unreachable, "the host %s cannot be resolved: look at the URL and the DNS of the cluster", dns.Name)
	}
	_, network := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return s.errorf(Unreachable, "the connection is refused: look at the URL, the server and network policies")
	case network:
		return s.errorf(Unreachable, "the server cannot be reached (%s): look at the network", s.scrub(innermost(err)))
	}
	return nil
}

// inside takes an error out of the wrappers of go-git that do not unwrap.
func inside(err error) error {
	for {
		if wrapper, ok := errors.AsType[*plumbing.UnexpectedError](err); ok {
			err = wrapper.Err
			continue
		}
		if wrapper, ok := errors.AsType[*plumbing.PermanentError](err); ok {
			err = wrapper.Err
			continue
		}
		return err
	}
}

// innermost is the text of the last error of a chain; outer ones repeat the URL.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
