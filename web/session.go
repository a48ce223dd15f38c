package web

import (
	"crypto/rand"
	"sync"
	"time"

	"gateagent/internal/passhash"
)

// Limits of sign-in.
const (
	sessionIdle = 15 * time.Minute // a session nobody used
	sessionLong = 10 * time.Hour   // one shift
	maxTries    = 5                // wrong PINs in a row for one name
	lockFor     = time.Minute
)

// sessions knows who is signed in. Nothing of it survives a restart.
type sessions struct {
	now       func() time.Time
	operators map[string]string // name to PIN hash

	mu    sync.Mutex
	open  map[string]*session
	tries map[string]*tries
}

type session struct {
	operator     string
	begun, until time.Time
}

type tries struct {
	wrong int
	until time.Time
}

func newSessions(ops []Operator, now func() time.Time) *sessions {
	s := &sessions{now: now, operators: map[string]string{}, open: map[string]*session{}, tries: map[string]*tries{}}
	for _, o := range ops {
		s.operators[o.Name] = o.PINHash
	}
	return s
}

// signInResult says how a sign-in went.
type signInResult uint8

const (
	signInWrong signInResult = iota
	signInOK
	signInLocked
)

// signIn checks a PIN. An unknown name costs as much time as a known one.
func (s *sessions) signIn(name, pin string) (token string, res signInResult) {
	s.mu.Lock()
	defer s.mu.Unlock() // one PIN at a time: that bounds guessing, too
	hash, known := s.operators[name]
	if !known {
		for _, h := range s.operators {
			hash = h
			break
		}
		name = "" // all unknown names share one count
	}
	t := s.tries[name]
	if t == nil {
		t = &tries{}
		s.tries[name] = t
	}
	if s.now().Before(t.until) {
		return "", signInLocked
	}
	ok, err := passhash.Verify(hash, []byte(pin))
	if !ok || err != nil || !known {
		if t.wrong++; t.wrong >= maxTries {
			t.wrong, t.until = 0, s.now().Add(lockFor)
		}
		return "", signInWrong
	}
	delete(s.tries, name)
	token = rand.Text()
	s.open[token] = &session{operator: name, begun: s.now(), until: s.now().Add(sessionIdle)}
	return token, signInOK
}

// who gives the operator of a session; touch keeps it fresh.
func (s *sessions) who(token string, touch bool) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for t, v := range s.open {
		if now.After(v.until) || now.Sub(v.begun) > sessionLong {
			delete(s.open, t)
		}
	}
	v, ok := s.open[token]
	if !ok {
		return "", false
	}
	if touch {
		v.until = now.Add(sessionIdle)
	}
	return v.operator, true
}

func (s *sessions) signOut(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, token)
}
