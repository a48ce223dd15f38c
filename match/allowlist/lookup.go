package allowlist

import (
	"errors"

	"gateagent/gate"
)

var _ gate.Allowlist = (*Store)(nil)

// Lookup asks the list in force about a document. Without a list that is
// proven and valid at a trusted time the answer is ListUnavailable and its code
// says why: an untrusted clock (CodeClockUntrusted) cannot tell whether list
// and window are over, so it admits nobody either.
func (s *Store) Lookup(q gate.ListQuery) gate.ListAnswer {
	a, damage := s.lookup(q)
	if damage != nil {
		s.spoil(damage)
	}
	return a
}

func (s *Store) lookup(q gate.ListQuery) (a gate.ListAnswer, damage error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a.Verdict = gate.ListUnavailable
	if s.table == nil {
		a.Code = s.code
		return a, nil
	}
	st := &s.table.st
	a.Generation, a.Version = st.Generation, st.Version
	switch {
	case !q.At.Trusted:
		a.Code = gate.CodeClockUntrusted
		return a, nil
	case !q.At.Now.Before(st.Expires):
		a.Code = gate.CodeListExpired
		return a, nil
	case q.At.Now.Add(clockSkew).Before(st.Issued):
		a.Code = gate.CodeListIssueTime
		return a, nil
	}
	entries, err := s.table.Find(Document{Issuer: q.Issuer, Type: q.DocType, Number: q.Number})
	var field *FieldError
	if errors.As(err, &field) {
		a.Code = gate.CodeListNoNumber
		return a, nil
	}
	if err != nil {
		a.Code = gate.CodeListDamaged
		return a, err
	}
	verdict, code, e := verdictOf(entries, normalGate(q.Gate), q.At.Now)
	a.Verdict, a.Code = verdict, code
	if e != nil {
		a.Flights, a.Priority = e.Flights, e.Priority
	}
	return a, nil
}

// spoil remembers damage of the list in force. It stays in force for the pages
// that can still be proven.
func (s *Store) spoil(damage error) {
	s.mu.Lock()
	first := !s.rotten
	s.rotten, s.problem = true, damage.Error()
	s.mu.Unlock()
	if first {
		s.log.Error("list in force is damaged; documents on damaged pages are referred", "error", damage)
	}
}

// Status describes the list in force. A list past its expiry is still
// Present: Expires says it.
func (s *Store) Status() gate.ListStatus {
	s.mu.RLock()
	defer s.mu.RUnlock()
	status := gate.ListStatus{Problem: s.problem}
	if s.table != nil {
		st := s.table.st
		status.Present, status.Generation, status.Version = true, st.Generation, st.Version
		status.Entries, status.Issued, status.Expires = st.Entries, st.Issued, st.Expires
	}
	return status
}
