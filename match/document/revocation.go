package document

import (
	"fmt"
	"time"

	"gateagent/gate"
	"gateagent/match/document/pki"
)

// crl is a revocation list whose signature may not have been looked at yet.
type crl struct {
	list    *pki.CRL
	file    string
	checked bool
	proven  bool
}

// crlsFor gives the proven revocation lists that speak for the certificates
// that a CSCA issued.
func (t *Trust) crlsFor(c, issuer *pki.Certificate) []*pki.CRL {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*pki.CRL
	for _, l := range t.crls {
		if t.speaksFor(l.list, c.Issuer) || t.speaksFor(l.list, issuer.Subject) {
			if t.isProvenCRL(l) {
				out = append(out, l.list)
			}
		}
	}
	return out
}

// speaksFor says whether a list is that of the CSCA of the given name: under
// the same name, under one that the CSCA had or took (the list says so, or
// link certificates do). ICAO 9303-12 appendix D.1.2.3 is content with the
// same country; but states run several CSCAs side by side, and one's serial
// numbers mean nothing under another.
func (t *Trust) speaksFor(l *pki.CRL, issuer pki.Name) bool {
	if l.Issuer.Key == issuer.Key {
		return true
	}
	if !sameCountry(l.Issuer, issuer) {
		return false
	}
	for _, name := range l.AltNames {
		if name == issuer.Key {
			return true
		}
	}
	return t.namesOf(issuer.Key)[l.Issuer.Key]
}

// namesOf gives every name that proven link certificates tie to a name,
// whichever way the change went.
func (t *Trust) namesOf(name string) map[string]bool {
	if known, ok := t.renames[name]; ok {
		return known
	}
	out := map[string]bool{name: true}
	for grown := true; grown; {
		grown = false
		for _, list := range t.byName {
			for _, c := range list {
				from, to := c.cert.Issuer.Key, c.cert.Subject.Key
				if from != to && out[from] != out[to] && t.isProven(c) {
					out[from], out[to], grown = true, true, true
				}
			}
		}
	}
	if t.renames == nil {
		t.renames = map[string]map[string]bool{}
	}
	t.renames[name] = out
	return out
}

func (t *Trust) isProvenCRL(l *crl) bool {
	if l.checked {
		return l.proven
	}
	l.checked = true
	for _, p := range t.candidates(l.list.Issuer, l.list.AuthorityKeyID) {
		// CSCAs without the usage bit sign lists all the same; the bit is
		// not what the proof rests on.
		if t.isProven(p) && l.list.CheckSignatureFrom(p.cert) == nil {
			l.proven = true
			break
		}
	}
	return l.proven
}

// revocation asks every proven list, whatever its age, for the signer and for
// the CSCAs above it: revoking one of these revokes all that it signed (ICAO
// 9303-12 section 4.1.5.1). Only the newest list can say that the signer is
// not revoked.
func (s *signerCase) revocation() gate.Check {
	const id = gate.CheckDSRevocation
	word, listed := s.remarks.revocation()
	if word.Result == gate.Failed {
		return word
	}
	lists := s.trust.crlsFor(s.cert, s.issuer.cert)
	var newest *pki.CRL
	for _, l := range lists {
		if l.Revokes(s.cert.Serial) {
			return check(id, gate.Failed, gate.CodeDSRevoked, crlText(l, s.at))
		}
		if !l.Partial && (newest == nil || l.ThisUpdate.After(newest.ThisUpdate)) {
			newest = l
		}
	}
	if l := s.trust.revokesAbove(s.issuer); l != nil {
		return check(id, gate.Failed, gate.CodeDSRevoked, "its CSCA is revoked, "+crlText(l, s.at))
	}
	switch {
	case listed: // not final; no silence of the CSCA outweighs it
		return word
	case newest == nil:
		return check(id, gate.Undetermined, gate.CodeNoCRL, "")
	case !s.at.Trusted:
		return check(id, gate.Undetermined, gate.CodeClockUntrusted, "")
	case s.at.Now.After(newest.NextUpdate):
		return check(id, gate.Undetermined, gate.CodeCRLStale, crlText(newest, s.at))
	}
	return check(id, gate.Successful, 0, crlText(newest, s.at))
}

// revokesAbove finds a list that names a CSCA or one that it was linked from.
func (t *Trust) revokesAbove(c *csca) *pki.CRL {
	for ; c != nil; c = c.by {
		for _, l := range t.crlsFor(c.cert, c.cert) {
			if l.Revokes(c.cert.Serial) {
				return l
			}
		}
	}
	return nil
}

// crlText says how old a list is. A CSCA publishes one at least every 90 days
// (ICAO 9303-12 section 4.1.5), whatever the list itself promises.
func crlText(l *pki.CRL, at gate.TrustedTime) string {
	age := at.Now.Sub(l.ThisUpdate)
	text := "CRL of " + l.ThisUpdate.UTC().Format(time.DateOnly)
	switch {
	case !at.Trusted:
		return text
	case age < 0:
		return text + ", from the future"
	case age > pki.MaxAge:
		return fmt.Sprintf("%s, %d days old, more than the 90 days of ICAO", text, int(age.Hours()/24))
	}
	return fmt.Sprintf("%s, %d days old", text, int(age.Hours()/24))
}
