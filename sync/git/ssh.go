package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"
)

const (
	sshPort = "22"
	// sshUser is who one is to a Git server when the URL names nobody.
	sshUser = "git"
)

// sshSession is git-upload-pack at the other end of an ssh connection. It is our own and not go-git's, which reads the
// configuration and the agent of the user that it runs as, and waits for a server that says nothing for ever: here the end
// of the context closes the connection, whatever is waited for.
type sshSession struct {
	wire    *wire
	conn    net.Conn
	stop    func() bool
	client  *ssh.Client
	session *ssh.Session
	in      io.WriteCloser
	out     *bufio.Reader
	said    *lastWords
	asked   bool
}

var _ transport.UploadPackSession = (*sshSession)(nil)

// dialSSH connects, and starts git-upload-pack.
func (w *wire) dialSSH(ctx context.Context) (_ *sshSession, err error) {
	conn, err := w.reach(ctx, w.url)
	if err != nil {
		return nil, err
	}
	conn = &countedConn{Conn: conn, wire: w}
	s := &sshSession{wire: w, conn: conn, stop: context.AfterFunc(ctx, func() { _ = conn.Close() }), said: &lastWords{}}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if err := s.greet(); err != nil {
		return nil, err
	}
	if s.session, err = s.client.NewSession(); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	s.session.Stderr = s.said
	if s.in, err = s.session.StdinPipe(); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	out, err := s.session.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	s.out = bufio.NewReader(w.sift(out))
	if err := s.session.Start(transport.UploadPackServiceName + " " + quoted(w.path())); err != nil {
		return nil, fmt.Errorf("start git-upload-pack: %w", err)
	}
	return s, nil
}

// greet verifies the host and says who we are.
func (s *sshSession) greet() error {
	w, user := s.wire, sshUser
	if named := w.url.User.Username(); named != "" {
		user = named
	}
	address := net.JoinHostPort(w.url.Hostname(), portOf(w.url))
	name := knownAs(w.url.Hostname(), portOf(w.url))
	algorithms := w.known.algorithms(name)
	var distrusted *Error
	conn, channels, requests, err := ssh.NewClientConn(s.conn, address, &ssh.ClientConfig{
		User:              user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(w.signer)},
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if err := w.known.verify(name, address, key); err != nil {
				distrusted = w.source.distrusted(err.Error(), w)
				return distrusted
			}
			return nil
		},
	})
	if distrusted != nil {
		return distrusted
	}
	if none, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok && none.What == "host key" {
		return w.source.distrusted(fmt.Sprintf("%s has no key of a type that known_hosts allows it (%s), but %s",
			name, strings.Join(algorithms, ", "), w.source.scrub(strings.Join(none.RequestedAlgorithms, ", "))), w)
	}
	if err != nil && strings.Contains(err.Error(), "unable to authenticate") { // it has no type
		return w.source.errorf(AuthenticationFailed, "the server does not accept the key %s for the user %s: give the public half of identity "+
			"read access to the repository, or correct the user in the URL", shownKey(w.signer.PublicKey()), user)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return w.source.errorf(Unreachable, "the server ended the connection in the handshake: it may have too many of them (MaxStartups), or be no ssh server")
	}
	if err != nil {
		return err
	}
	s.client = ssh.NewClient(conn, channels, requests)
	return nil
}

// distrusted says what is wrong with a host's key, and how to have another one accepted.
func (s Source) distrusted(what string, w *wire) *Error {
	port := ""
	if portOf(w.url) != sshPort {
		port = "-p " + portOf(w.url) + " "
	}
	return s.errorf(HostKeyInvalid, "%s. Nothing was sent. If this is as its operator says, replace the host's lines in known_hosts of secretRef by "+
		"those of ssh-keyscan %s%s", what, port, w.url.Hostname())
}

// path is what git-upload-pack is asked for; as git does it, ~ begins a home directory.
func (w *wire) path() string {
	if path, ok := strings.CutPrefix(w.url.Path, "/~"); ok {
		return "~" + path
	}
	return w.url.Path
}

// quoted makes one word of a path for any shell, as git does: what is between single quotes stands for itself, but for
// those quotes, and for exclamation marks in a C shell.
func quoted(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// AdvertisedReferences is what go-git's interface has beside the next one; nothing calls it.
func (s *sshSession) AdvertisedReferences() (*packp.AdvRefs, error) {
	return s.AdvertisedReferencesContext(context.Background())
}

// AdvertisedReferencesContext reads the list of refs. Its context is the one of dialSSH, which ends it.
func (s *sshSession) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(s.out)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && refs.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, s.refused(ctx)
	}
	if line, ok := errors.AsType[*pktline.ErrorLine](err); ok {
		return nil, s.wire.source.refusedWith(line.Text)
	}
	return refs, err
}

// UploadPack asks for a pack and returns it as it comes.
func (s *sshSession) UploadPack(ctx context.Context, request *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := request.Validate(); err != nil {
		return nil, err
	}
	s.asked = true
	var asked bytes.Buffer
	if err := errors.Join(request.UploadRequest.Encode(&asked), pktline.NewEncoder(&asked).EncodeString("done\n")); err != nil {
		return nil, fmt.Errorf("ask for the pack: %w", err)
	}
	_, writeErr := s.in.Write(asked.Bytes())
	// A server that has ended says in what it has sent before why.
	if _, err := s.out.Peek(1); errors.Is(err, io.EOF) {
		return nil, s.refused(ctx)
	} else if err != nil {
		return nil, err
	} else if writeErr != nil {
		return nil, fmt.Errorf("ask for the pack: %w", writeErr)
	}
	response := packp.NewUploadPackResponse(request)
	if err := response.Decode(io.NopCloser(notCut{ctx, s.out})); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return response, nil
}

// notCut tells the end of an answer from that of the context, which closes the connection: a channel of ssh ends
// alike by both.
type notCut struct {
	ctx context.Context
	io.Reader
}

func (n notCut) Read(p []byte) (int, error) {
	read, err := n.Reader.Read(p)
	if errors.Is(err, io.EOF) && n.ctx.Err() != nil {
		return read, n.ctx.Err()
	}
	return read, err
}

// refused is the error about a server that ends without an answer: what it has said instead.
func (s *sshSession) refused(ctx context.Context) error {
	_ = s.session.Wait() // all that it said is there then
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.wire.source.refusedWith(s.said.String())
}

// refusedWith is the error about a server that says this in place of an answer.
func (s Source) refusedWith(said string) *Error {
	said = s.scrub(printable(said))
	switch lower := strings.ToLower(said); {
	case said == "":
		return s.errorf(InvalidAnswer, "the server ended the session and said nothing: look at the URL and the server")
	case containsAny(lower, "command not found", "git-upload-pack: not found"):
		return s.errorf(InvalidAnswer, "there is no git on the server; it says %q: look at the URL and the server", said)
	case containsAny(lower, "not found", "not exist", "no such", "does not appear to be a git repository", "could not be found"):
		return s.errorf(RepositoryNotFound, "the server has no such repository, or hides it from this key; it says %q: "+
			"look at the URL, and at what the key may read", said)
	case containsAny(lower, "denied", "permission", "not authorized", "unauthorized", "forbidden"):
		return s.errorf(AuthenticationFailed, "the server refuses this key the repository; it says %q: give it read access", said)
	default:
		return s.errorf(InvalidAnswer, "the server does not run git-upload-pack; it says %q: look at the URL and the server", said)
	}
}

func containsAny(text string, words ...string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// Close ends the session, politely if nothing was asked for.
func (s *sshSession) Close() error {
	if s.in != nil && !s.asked {
		_ = pktline.NewEncoder(s.in).Flush()
	}
	if s.client != nil {
		_ = s.client.Close()
	}
	s.stop()
	return s.conn.Close()
}

// countedConn counts all that arrives, the handshake and what the server says beside its answer as well.
type countedConn struct {
	net.Conn
	wire *wire
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if over := c.wire.count(n); over != nil {
		return 0, over
	}
	return n, err
}

// lastWords keeps the beginning of what a server says beside its answer.
type lastWords struct {
	mu   sync.Mutex
	kept []byte
}

// Write keeps what there is room for, and takes the rest.
func (l *lastWords) Write(p []byte) (int, error) {
	const most = 1 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, p[:min(len(p), most-len(l.kept))]...)
	return len(p), nil
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.kept)
}

// printable puts a text into one line, without what a terminal would obey.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.Join(strings.Fields(text), " ")
}
