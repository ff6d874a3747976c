package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers in which Git servers prove that a webhook is theirs. Each is documented by its server:
//
//	X-Hub-Signature-256 .............. GitHub, Gitea, Forgejo: sha256=HEX
//	X-Hub-Signature .................. Bitbucket: sha256=HEX; GitHub's sha1= is not accepted
//	X-Gitea-Signature, X-Forgejo-… ... HEX
//	X-Signature ...................... anybody, as Flux has it: sha256=HEX
//	X-Gitlab-Token ................... GitLab's secret token, which is the token itself
//	Webhook-Signature ................ GitLab's signing token, and whoever follows standardwebhooks.com: v1,BASE64 over
//	                                   the id, the time and the body
const (
	headerGitHub    = "X-Hub-Signature-256"
	headerBitbucket = "X-Hub-Signature"
	headerGitea     = "X-Gitea-Signature"
	headerForgejo   = "X-Forgejo-Signature"
	headerGeneric   = "X-Signature"
	headerGitLab    = "X-Gitlab-Token"
	headerStandard  = "Webhook-Signature"
	headerID        = "Webhook-Id"
	headerTime      = "Webhook-Timestamp"
)

// tolerance is how far the time that a signature holds may be from ours.
const tolerance = 5 * time.Minute

// mostProofs bounds how many signatures of one request are looked at.
const mostProofs = 8

// proof is what a request offers. Any of it that is right will do.
type proof struct {
	// sums are HMACs of the body.
	sums [][]byte
	// tokens are the token itself.
	tokens []string
	// signed is what comes before the body in what signatures are made over.
	signed     string
	signatures [][]byte
}

// proofOf reads what the headers offer.
func proofOf(h http.Header, now time.Time) proof {
	var out proof
	for _, name := range []string{headerGitHub, headerBitbucket, headerGeneric} {
		for _, value := range h.Values(name) {
			if sum, ok := strings.CutPrefix(strings.TrimSpace(value), "sha256="); ok {
				out.addSum(sum)
			}
		}
	}
	for _, name := range []string{headerGitea, headerForgejo} {
		for _, value := range h.Values(name) {
			out.addSum(strings.TrimSpace(value))
		}
	}
	for _, token := range h.Values(headerGitLab) {
		if len(out.tokens) < mostProofs {
			out.tokens = append(out.tokens, token)
		}
	}
	out.addStandard(h, now)
	return out
}

func (p *proof) addSum(text string) {
	if sum, err := hex.DecodeString(text); err == nil && len(sum) == sha256.Size && len(p.sums) < mostProofs {
		p.sums = append(p.sums, sum)
	}
}

// addStandard reads signatures over the id, the time and the body. One of another time is none: it may be a copy.
func (p *proof) addStandard(h http.Header, now time.Time) {
	seconds, err := strconv.ParseInt(h.Get(headerTime), 10, 64)
	if err != nil {
		return
	}
	if away := now.Sub(time.Unix(seconds, 0)); away > tolerance || away < -tolerance {
		return
	}
	p.signed = fmt.Sprintf("%s.%s.", h.Get(headerID), h.Get(headerTime))
	for _, each := range strings.Fields(h.Get(headerStandard)) {
		text, ok := strings.CutPrefix(each, "v1,")
		if !ok || len(p.signatures) == mostProofs {
			continue
		}
		if sum, err := base64.StdEncoding.DecodeString(text); err == nil && len(sum) == sha256.Size {
			p.signatures = append(p.signatures, sum)
		}
	}
}

// proves is whether the body, which it reads to its end, comes from somebody who has the token. It keeps nothing of it.
func (p proof) proves(token []byte, body io.Reader) (bool, error) {
	plain, standard := hmac.New(sha256.New, token), hmac.New(sha256.New, standardKey(token))
	_, _ = io.WriteString(standard, p.signed)
	if _, err := io.Copy(io.MultiWriter(plain, standard), body); err != nil {
		return false, fmt.Errorf("read the body: %w", err)
	}
	if len(token) == 0 {
		return false, nil
	}
	right := anyIs(p.sums, plain) || anyIs(p.signatures, standard)
	for _, offered := range p.tokens {
		a, b := sha256.Sum256([]byte(offered)), sha256.Sum256(token) // so that their lengths are one
		right = hmac.Equal(a[:], b[:]) || right
	}
	return right, nil
}

func anyIs(offered [][]byte, h hash.Hash) bool {
	sum, right := h.Sum(nil), false
	for _, each := range offered {
		right = hmac.Equal(each, sum) || right
	}
	return right
}

// standardKey is the key that a token stands for in the way of standardwebhooks.com: what follows whsec_ is base64.
func standardKey(token []byte) []byte {
	if text, ok := strings.CutPrefix(string(token), "whsec_"); ok {
		if key, err := base64.StdEncoding.DecodeString(text); err == nil {
			return key
		}
	}
	return token
}
