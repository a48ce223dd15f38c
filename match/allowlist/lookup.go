package allowlist

import (
	"encoding/hex"
	"errors"
	"slices"

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
	if s.revoked.problem != nil {
		a.Code = gate.CodeListDamaged
		return a, nil
	}
	entries, gone, err := s.table.ask(q, s.revoked.now)
	var field *FieldError
	switch {
	case errors.As(err, &field):
		a.Code = gate.CodeListNoNumber
		return a, nil
	case err != nil:
		a.Code = gate.CodeListDamaged
		return a, err
	case gone:
		a.Verdict, a.Code = gate.ListRefuse, gate.CodeListRevoked
		return a, nil
	}
	verdict, code, e := verdictOf(entries, normalGate(q.Gate), q.At.Now)
	a.Verdict, a.Code = verdict, code
	if e != nil {
		a.Flights, a.Priority = e.Flights, e.Priority
	}
	return a, nil
}

// ask gives the entries under every match key of what is asked about; gone says
// that one of the keys is revoked, which is looked at first.
func (t *Table) ask(q gate.ListQuery, revocations *Revocations) (entries []Entry, gone bool, err error) {
	keys, err := t.keysOf(q)
	if err != nil {
		return nil, false, err
	}
	err = t.withSealer(func(s *sealer) error {
		indexes := make([][indexSize]byte, len(keys))
		encodings := make([]encoded, len(keys))
		for i, d := range keys {
			encodings[i] = d.encode()
			indexes[i] = s.indexOf(&encodings[i])
			if revocations.holds(t.st.Generation, indexes[i], t.st.Revoked) {
				gone = true
				return nil
			}
		}
		for i := range keys {
			if !t.head.has(uint(encodings[i].b[0])) {
				continue // the table holds no keys of this kind
			}
			var err error
			if entries, err = t.find(s, &encodings[i], indexes[i], entries); err != nil {
				return err
			}
		}
		return nil
	})
	return entries, gone, err
}

// keysOf gives every match key of what is asked about, normalised. Without any
// the number's fault is the error.
func (t *Table) keysOf(q gate.ListQuery) ([]Document, error) {
	number, err := Document{Issuer: q.Issuer, Type: q.DocType, Number: q.Number}.normalise()
	if err != nil {
		return nil, err
	}
	keys := []Document{number}
	if q.Signature != [len(q.Signature)]byte{} {
		keys = append(keys, Document{Signature: hex.EncodeToString(q.Signature[:])})
	}
	if !t.head.has(kindPerson) || q.Name == "" {
		return keys, nil
	}
	flights := q.Flights
	if len(flights) == 0 {
		if flights, err = t.flightsAt(normalGate(q.Gate)); err != nil {
			return nil, err
		}
	}
	for _, flight := range flights {
		person, err := Document{Name: q.Name, Birth: q.Birth, Flight: flight}.normalise()
		var field *FieldError
		if errors.As(err, &field) {
			continue // a birth date of a year alone names nobody
		}
		keys = append(keys, person)
	}
	return keys, nil
}

// flightsAt gives the flights of a gate, as far as sets name them.
func (t *Table) flightsAt(gateName string) ([]string, error) {
	t.flights.Lock()
	defer t.flights.Unlock()
	if t.flights.gate == gateName && t.flights.known {
		return t.flights.all, nil
	}
	var all []string
	for n := range t.head.sets {
		set, err := t.set(uint32(n))
		if err != nil {
			return nil, err
		}
		if set.fits(gateName) {
			all = append(all, set.Flights...)
		}
	}
	slices.Sort(all)
	t.flights.gate, t.flights.all, t.flights.known = gateName, slices.Compact(all), true
	return t.flights.all, nil
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
	if r := s.revoked.now; r != nil {
		status.Revocations, status.Revoked = r.Number, r.Count()
	}
	if err := s.revoked.problem; err != nil && status.Problem == "" {
		status.Problem = err.Error()
	}
	if s.table != nil {
		st := s.table.st
		status.Present, status.Generation, status.Version = true, st.Generation, st.Version
		status.Entries, status.Issued, status.Expires = st.Entries, st.Issued, st.Expires
		status.Root = hex.EncodeToString(st.Root[:])
		if status.Problem == "" {
			status.Problem = s.revoked.now.gap(st.Revoked)
		}
	}
	return status
}
