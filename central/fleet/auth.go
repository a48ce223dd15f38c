package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id, the second recommended choice of RFC 9106 section 4
// with fewer lanes.
const (
	argonTime   = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 2
	argonKey    = 32
	argonSalt   = 16
)

// Bounds of sessions and attempts.
const (
	cookieName   = "__Host-fleet"
	sessionLife  = 12 * time.Hour
	sessionIdle  = time.Hour
	maxSessions  = 1000
	tries        = 5                // at once, then
	tryEvery     = 12 * time.Second // one more each
	maxSources   = 10_000
	hashersLimit = 2 // password hashes computed at once, 64 MiB each
	hashPatience = 5 * time.Second
	maxPassword  = 256
)

// HashPassword gives the stored form of a password.
func HashPassword(password string) string {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // crypto/rand.Read never fails
	return encodeHash(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey))
}

func encodeHash(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// checkPassword compares in constant time. A stored form that it cannot read
// matches nothing.
func checkPassword(stored, password string) bool {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	var version, memory, t uint32
	var p uint8
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &t, &p); err != nil ||
		version != argon2.Version || memory > 1<<20 || t == 0 || t > 16 || p == 0 {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err := errors.Join(err1, err2); err != nil || len(want) != argonKey {
		return false
	}
	return subtle.ConstantTimeCompare(argon2.IDKey([]byte(password), salt, t, memory, p, argonKey), want) == 1
}

// alphabet has 32 signs that are hard to mistake for each other.
const alphabet = "abcdefghijkmnpqrstuvwxyz23456789"

// NewPassword makes a password of 100 random bits in five groups.
func NewPassword() string {
	var r [20]byte
	_, _ = rand.Read(r[:]) // crypto/rand.Read never fails
	var b strings.Builder
	for i, c := range r {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(alphabet[c%byte(len(alphabet))])
	}
	return b.String()
}

// guard knows who may come in: sessions in memory, attempts by source.
type guard struct {
	password func(ctx context.Context, operator string) (string, error)
	token    [sha256.Size]byte // hash of the API token
	now      func() time.Time
	decoy    string // matches no password; compared when there is no such operator, so that time tells nothing
	hashers  chan struct{}

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]*session // guarded by mu, by hash of the cookie
	sources  map[string]*bucket             // guarded by mu
}

type session struct {
	operator      string
	expires, seen time.Time
}

type bucket struct {
	left float64
	at   time.Time
}

func newGuard(password func(context.Context, string) (string, error), token string) *guard {
	return &guard{password: password, token: sha256.Sum256([]byte(token)), now: time.Now,
		decoy: encodeHash(make([]byte, argonSalt), make([]byte, argonKey)), hashers: make(chan struct{}, hashersLimit),
		sessions: map[[sha256.Size]byte]*session{}, sources: map[string]*bucket{}}
}

// Why a login fails.
var (
	errTooMany = errors.New("too many attempts")
	errBusy    = errors.New("busy")
	errWrong   = errors.New("wrong name or password")
)

// login checks a password and opens a session.
func (g *guard) login(ctx context.Context, source, operator, password string) (cookie string, err error) {
	if !g.attempt(source) {
		return "", errTooMany
	}
	ctx, cancel := context.WithTimeout(ctx, hashPatience)
	defer cancel()
	select {
	case g.hashers <- struct{}{}:
		defer func() { <-g.hashers }()
	case <-ctx.Done():
		return "", errBusy
	}
	stored, err := g.password(ctx, operator)
	if err != nil {
		return "", err
	}
	known := stored != ""
	if !known {
		stored = g.decoy
	}
	if len(password) > maxPassword || !checkPassword(stored, password) || !known {
		return "", errWrong
	}
	return g.open(operator), nil
}

// attempt takes one try of a source, if it has any left.
func (g *guard) attempt(source string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	b := g.sources[source]
	if b == nil {
		if len(g.sources) >= maxSources {
			g.forgetSources(now)
		}
		if len(g.sources) >= maxSources {
			return false
		}
		b = &bucket{left: tries, at: now}
		g.sources[source] = b
	}
	b.left = min(tries, b.left+float64(now.Sub(b.at))/float64(tryEvery))
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// forgetSources drops those that are at their full number of tries again;
// g.mu is held.
func (g *guard) forgetSources(now time.Time) {
	for s, b := range g.sources {
		if now.Sub(b.at) > tries*tryEvery {
			delete(g.sources, s)
		}
	}
}

func (g *guard) open(operator string) string {
	var r [32]byte
	_, _ = rand.Read(r[:]) // crypto/rand.Read never fails
	cookie := base64.RawURLEncoding.EncodeToString(r[:])
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for k, s := range g.sessions {
		if s.over(now) {
			delete(g.sessions, k)
		}
	}
	if len(g.sessions) >= maxSessions {
		clear(g.sessions) // nobody has so many operators
	}
	g.sessions[sha256.Sum256([]byte(cookie))] = &session{operator: operator, expires: now.Add(sessionLife), seen: now}
	return cookie
}

func (s *session) over(now time.Time) bool {
	return now.After(s.expires) || now.Sub(s.seen) > sessionIdle
}

// who gives the operator of a request; empty when it has no session.
func (g *guard) who(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	key := sha256.Sum256([]byte(c.Value))
	g.mu.Lock()
	defer g.mu.Unlock()
	s, now := g.sessions[key], g.now()
	if s == nil {
		return ""
	}
	if s.over(now) {
		delete(g.sessions, key)
		return ""
	}
	s.seen = now
	return s.operator
}

// leave ends the session of a request.
func (g *guard) leave(r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.sessions, sha256.Sum256([]byte(c.Value)))
	}
}

// bearer says whether the request carries the API token.
func (g *guard) bearer(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	return ok && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// source is what attempts are counted by: the address of the connection.
func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// sessionCookie is the cookie of a session; empty, it removes it.
func sessionCookie(value string) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: value, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}
