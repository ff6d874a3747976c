package hook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const secret = "a token that nobody guesses"

func now() time.Time { return time.Date(2026, time.November, 27, 12, 0, 0, 0, time.UTC) }

func sum(token, text string) []byte {
	h := hmac.New(sha256.New, []byte(token))
	_, _ = h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(token, text string) string { return hex.EncodeToString(sum(token, text)) }

// standard signs the body {}.
func standard(token string, at time.Time) http.Header {
	seconds := fmt.Sprint(at.Unix())
	return http.Header{
		"Webhook-Id": {"evt_1"}, "Webhook-Timestamp": {seconds},
		"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(sum(token, "evt_1."+seconds+".{}"))},
	}
}

// TestDocumentedSignatures are the examples that the documentation of the servers has.
func TestDocumentedSignatures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		token, body string
		header      http.Header
		at          time.Time
	}{
		"GitHub": {"It's a Secret to Everybody", "Hello, World!",
			http.Header{"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}, now()},
		"Bitbucket": {"It's a Secret to Everybody", "Hello World!",
			http.Header{"X-Hub-Signature": {"sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"}}, now()},
		"standard webhooks": {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`,
			http.Header{"Webhook-Id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "Webhook-Timestamp": {"1614265330"}, "Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}}, time.Unix(1614265330, 0)},
	} {
		right, err := proofOf(c.header, c.at).proves([]byte(c.token), strings.NewReader(c.body))
		if err != nil || !right {
			t.Errorf("%s: %v, %v, want that it is right", name, right, err)
		}
		if right, _ := proofOf(c.header, c.at).proves([]byte(c.token), strings.NewReader(c.body+" ")); right {
			t.Errorf("%s: it is right for another body", name)
		}
		if right, _ := proofOf(c.header, c.at).proves([]byte(c.token+" "), strings.NewReader(c.body)); right {
			t.Errorf("%s: it is right for another token", name)
		}
	}
}

func TestWhatServersSend(t *testing.T) {
	t.Parallel()
	for file, headers := range map[string]func(body string) http.Header{
		"github-push.json": func(body string) http.Header {
			return http.Header{"X-Github-Event": {"push"}, "X-Hub-Signature": {"sha1=0000000000000000000000000000000000000000"}, "X-Hub-Signature-256": {"sha256=" + hexSum(secret, body)}}
		},
		"gitea-push.json": func(body string) http.Header {
			return http.Header{"X-Gitea-Event": {"push"}, "X-Gitea-Signature": {hexSum(secret, body)}, "X-Gogs-Signature": {hexSum(secret, body)}}
		},
		"bitbucket-push.json": func(body string) http.Header {
			return http.Header{"X-Event-Key": {"repo:push"}, "X-Hub-Signature": {"sha256=" + hexSum(secret, body)}}
		},
		"gitlab-push.json": func(string) http.Header {
			return http.Header{"X-Gitlab-Event": {"Push Hook"}, "X-Gitlab-Token": {secret}}
		},
	} {
		body, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if right, err := proofOf(headers(string(body)), now()).proves([]byte(secret), bytes.NewReader(body)); err != nil || !right {
			t.Errorf("%s: %v, %v, want that it is right", file, right, err)
		}
	}
}

func TestWhatProvesNothing(t *testing.T) {
	t.Parallel()
	const body = "{}"
	right := hexSum(secret, body)
	for name, c := range map[string]struct {
		header http.Header
		want   bool
	}{
		"nothing":                         {http.Header{}, false},
		"Forgejo's":                       {http.Header{"X-Forgejo-Signature": {right}}, true},
		"anybody's":                       {http.Header{"X-Signature": {"sha256=" + right}}, true},
		"capitals":                        {http.Header{"X-Signature": {"sha256=" + strings.ToUpper(right)}}, true},
		"a wrong one before a right one":  {http.Header{"X-Signature": {"sha256=" + hexSum("x", body), "sha256=" + right}}, true},
		"without its kind":                {http.Header{"X-Signature": {right}}, false},
		"with a kind where there is none": {http.Header{"X-Gitea-Signature": {"sha256=" + right}}, false},
		"SHA-1":                           {http.Header{"X-Hub-Signature": {"sha1=" + right[:40]}}, false},
		"half of it":                      {http.Header{"X-Signature": {"sha256=" + right[:32]}}, false},
		"nothing of it":                   {http.Header{"X-Signature": {"sha256="}}, false},
		"more than it":                    {http.Header{"X-Signature": {"sha256=" + right + "00"}}, false},
		"another token's":                 {http.Header{"X-Signature": {"sha256=" + hexSum("another", body)}}, false},
		"no token's":                      {http.Header{"X-Signature": {"sha256=" + hexSum("", body)}}, false},
		"the token as a signature":        {http.Header{"X-Signature": {"sha256=" + secret}}, false},
		"half of the token":               {http.Header{"X-Gitlab-Token": {secret[:5]}}, false},
		"an empty token":                  {http.Header{"X-Gitlab-Token": {""}}, false},
		"a signature as the token":        {http.Header{"X-Gitlab-Token": {right}}, false},
		"signed just now":                 {standard(secret, now()), true},
		"signed a while ago":              {standard(secret, now().Add(-4*time.Minute)), true},
		"signed too long ago":             {standard(secret, now().Add(-6*time.Minute)), false},
		"signed in time to come":          {standard(secret, now().Add(6*time.Minute)), false},
		"signed by another":               {standard("another", now()), false},
		"the ninth of many":               {http.Header{"X-Signature": append(slices(8, "sha256="+hexSum("x", body)), "sha256="+right)}, false},
	} {
		got, err := proofOf(c.header, now()).proves([]byte(secret), strings.NewReader(body))
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
	other := standard(secret, now())
	other.Set("Webhook-Id", "evt_2")
	if got, _ := proofOf(other, now()).proves([]byte(secret), strings.NewReader(body)); got {
		t.Error("a signature is right for another id")
	}
	for _, header := range []http.Header{{"X-Signature": {"sha256=" + hexSum("", body)}}, {"X-Gitlab-Token": {""}}, standard("", now())} {
		if got, _ := proofOf(header, now()).proves(nil, strings.NewReader(body)); got {
			t.Errorf("without a token %v is right", header)
		}
	}
	if got, err := proofOf(http.Header{"X-Gitlab-Token": {secret}}, now()).proves([]byte(secret), iotest.ErrReader(errors.New("gone"))); got || err == nil {
		t.Errorf("a body that breaks off is %v, %v", got, err)
	}
}

func slices(n int, text string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = text
	}
	return out
}

// FuzzProof gives any headers and any body: nothing panics, and nothing is right that was not made with the token.
func FuzzProof(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no bodies: %v", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("X-Hub-Signature-256", "sha256="+hexSum("another", string(body)), "evt_1", "1795780800", "v1,AAAA", body)
	}
	f.Add("X-Gitlab-Token", "token", "", "", "", []byte(nil))
	f.Add("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32)), "a.b", "-9223372036854775808", "v1a,x v1,", []byte("{}"))
	f.Add("X-Gitea-Signature", "\x00\xff", "\r\n", "99999999999999999999", " v1, v1,=", []byte("\xef\xbb\xbf{"))
	f.Fuzz(func(t *testing.T, name, value, id, at, signature string, body []byte) {
		h := http.Header{}
		h.Add(name, value)
		h.Add(headerID, id)
		h.Add(headerTime, at)
		h.Add(headerStandard, signature)
		p := proofOf(h, now())
		if len(p.sums) > mostProofs || len(p.tokens) > mostProofs || len(p.signatures) > mostProofs {
			t.Fatalf("it looks at %d, %d and %d proofs", len(p.sums), len(p.tokens), len(p.signatures))
		}
		for _, token := range []string{secret, "", "whsec_", "whsec_AAAA"} {
			right, err := p.proves([]byte(token), bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if right && !offers(h, token, body) {
				t.Fatalf("%v is right for %q", h, token)
			}
		}
	})
}

// offers looks for what can only be made with the token, in any header.
func offers(h http.Header, token string, body []byte) bool {
	if token == "" {
		return false
	}
	all := strings.ToLower(fmt.Sprint(h))
	plain := base64.StdEncoding.EncodeToString(sum(string(standardKey([]byte(token))), h.Get(headerID)+"."+h.Get(headerTime)+"."+string(body)))
	return h.Get(headerGitLab) == token || strings.Contains(all, hexSum(token, string(body))) || strings.Contains(fmt.Sprint(h), plain)
}
