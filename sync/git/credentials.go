package git

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"

	"golang.org/x/crypto/ssh"
)

// checkAuth refuses credentials that are not whole, contradict each other, or are not for the scheme of the URL. Its
// errors name the keys of the Secret that secretRef names.
func (s Source) checkAuth(scheme string) error {
	if err := s.checkLines(); err != nil {
		return err
	}
	if err := s.checkProxy(); err != nil {
		return err
	}
	if scheme == "ssh" {
		_, _, err := s.sshKeys()
		return err
	}
	if _, err := s.certificate(); err != nil {
		return err
	}
	return s.checkKinds(scheme)
}

// checkKinds wants one of the ways to authenticate over https, or none.
func (s Source) checkKinds(scheme string) error {
	a := s.Auth
	token, app := a.BearerToken != "", a.App != App{}
	switch {
	case token && a.basic():
		return s.errorf(InvalidSource, "there are both a bearer token and a user name or password: keep one of them in secretRef")
	case app && (token || a.basic()):
		return s.errorf(InvalidSource, "there are both a GitHub App and a user name, password or bearer token: keep one of them in secretRef")
	case app:
		return s.checkApp()
	case a == Auth{Identity: a.Identity} && a.Identity != "":
		return s.errorf(InvalidSource, "secretRef has a key for ssh (identity), and the URL is %s: write the URL as ssh://git@host/path, "+
			"or add username and password, or bearerToken", scheme)
	}
	return nil
}

// checkLines refuses what would end a header.
func (s Source) checkLines() error {
	for _, secret := range []string{s.Auth.Username, s.Auth.Password, s.Auth.BearerToken, s.Proxy.Username, s.Proxy.Password} {
		if strings.ContainsAny(secret, "\r\n\x00") {
			return s.errorf(InvalidSource, "a credential holds a line break: remove it from secretRef")
		}
	}
	return nil
}

// roots are the authorities to trust; nil for those of the system alone.
func (s Source) roots() (*x509.CertPool, error) {
	if len(s.CA) == 0 {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(s.CA) {
		return nil, s.errorf(InvalidSource, "caFile holds no PEM certificate: correct it in secretRef (ca.crt is another name for it)")
	}
	return roots, nil
}

// certificate is what the client shows to the host of the repository; an empty one for none.
func (s Source) certificate() (*tls.Certificate, error) {
	cert, key := s.Auth.ClientCert, s.Auth.ClientKey
	switch {
	case cert == "" && key == "":
		return &tls.Certificate{}, nil
	case cert == "":
		return nil, s.errorf(InvalidSource, "secretRef has tls.key and no tls.crt: add the certificate of the key")
	case key == "":
		return nil, s.errorf(InvalidSource, "secretRef has tls.crt and no tls.key: add the key of the certificate")
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, s.errorf(InvalidSource, "tls.crt and tls.key of secretRef are not a PEM certificate and its key: correct them")
	}
	return &pair, nil
}

// sshKeys are what the client shows an ssh server, and what it knows the server by.
func (s Source) sshKeys() (ssh.Signer, knownHosts, error) {
	switch {
	case s.Auth.Identity == "" && s.Auth == Auth{} && len(s.KnownHosts) == 0:
		return nil, nil, s.errorf(InvalidSource, "an ssh URL needs a key: name a Secret in secretRef with identity (a private key) and known_hosts")
	case s.Auth.Identity == "":
		return nil, nil, s.errorf(InvalidSource, "secretRef has no identity: add a private key, whose public half the server knows")
	case len(s.KnownHosts) == 0:
		return nil, nil, s.errorf(InvalidSource, "secretRef has no known_hosts: add the lines that ssh-keyscan prints for the host, "+
			"when you have compared them with what its operator publishes")
	}
	known, err := parseKnownHosts(s.KnownHosts)
	if err != nil {
		return nil, nil, s.errorf(InvalidSource, "known_hosts of secretRef: %s: correct it", err)
	}
	if len(known) == 0 {
		return nil, nil, s.errorf(InvalidSource, "known_hosts of secretRef has no line with a key: add those that ssh-keyscan prints for the host")
	}
	signer, err := s.signer()
	return signer, known, err
}

func (s Source) signer() (ssh.Signer, error) {
	key := []byte(s.Auth.Identity)
	signer, err := ssh.ParsePrivateKey(key)
	_, encrypted := errors.AsType[*ssh.PassphraseMissingError](err)
	if encrypted && s.Auth.Password != "" {
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(key, []byte(s.Auth.Password)); errors.Is(err, x509.IncorrectPasswordError) {
			return nil, s.errorf(InvalidSource, "password of secretRef does not open identity: correct the passphrase")
		}
	} else if encrypted {
		return nil, s.errorf(InvalidSource, "identity of secretRef is encrypted: add its passphrase as password")
	}
	if err != nil {
		return nil, s.errorf(InvalidSource, "identity of secretRef is not a private key for ssh: write the file that ssh-keygen makes, to its last line")
	}
	return signer, nil
}

// sameOrigin is whether what is for one URL may be shown to the host of another.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

// portOf is the port of a URL, or the usual one of its scheme.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	switch u.Scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	case "ssh":
		return sshPort
	case "socks5", "socks5h":
		return "1080"
	default:
		return ""
	}
}
