package document

import (
	"crypto/sha256"
	"errors"
	"slices"
	"sync"

	"gateagent/match/document/pki"
)

// Trust holds the country signing certificates (CSCA) and revocation lists
// that documents are judged by. The zero value trusts nobody. Signatures are
// verified when they are first needed, and once. It is safe for concurrent
// use.
type Trust struct {
	mu      sync.Mutex
	known   map[[sha256.Size]byte]bool
	byName  map[string][]*csca
	byKey   map[string][]*csca
	crls    []*crl
	renames map[string]map[string]bool // names of one CSCA, by each of them

	// issued remembers who signed a document signer, by its certificate.
	issued map[[sha256.Size]byte][]*csca

	signers signerPool
	defects []*defectList

	files []TrustFile // what the folder held
	stamp string      // of the folder when it was read
}

// csca is a certificate that may be an anchor or a link.
type csca struct {
	cert   *pki.Certificate
	file   string // where it came from
	by     *csca  // the proven certificate that signed it; nil for an anchor
	proven bool
	failed bool // the search for a proof ended without one
}

// maxCandidates bounds how many certificates are tried for one issuer.
const maxCandidates = 64

var errNotCSCA = errors.New("is no certificate of a country signing authority")

// mayIssue says whether a certificate can be a CSCA or link certificate: key
// usage decides, and basic constraints only where there is none, because
// issuers get the latter wrong (ICAO 9303-12 section 7.1, table 5).
func mayIssue(c *pki.Certificate) bool {
	if c.KeyUsage.Present {
		return c.KeyUsage.May(pki.UsageCertSign)
	}
	return c.CA || c.SelfIssued()
}

// add takes a certificate in as a candidate. Being in the folder makes it an
// anchor only if it is signed by itself.
func (t *Trust) add(c *pki.Certificate, file string) error {
	if c.KeyErr != nil {
		return c.KeyErr
	}
	if !mayIssue(c) {
		return errNotCSCA
	}
	t.insert(&csca{cert: c, file: file})
	return nil
}

func (t *Trust) insert(c *csca) {
	if t.known == nil {
		t.known = map[[sha256.Size]byte]bool{}
		t.byName, t.byKey = map[string][]*csca{}, map[string][]*csca{}
	}
	sum := sha256.Sum256(c.cert.Raw)
	if t.known[sum] {
		return
	}
	t.known[sum] = true
	t.byName[c.cert.Subject.Key] = append(t.byName[c.cert.Subject.Key], c)
	if id := string(c.cert.KeyID()); id != "" {
		t.byKey[id] = append(t.byKey[id], c)
	}
}

// candidates finds who may have issued under a name and key identifier: same
// name or same key, and the same country (ICAO 9303-12 section 7.1.1: the
// country of issuer and subject must be the same).
func (t *Trust) candidates(issuer pki.Name, keyID []byte) []*csca {
	var out []*csca
	for _, list := range [][]*csca{t.byKey[string(keyID)], t.byName[issuer.Key]} {
		for _, c := range list {
			if sameCountry(c.cert.Subject, issuer) && !slices.Contains(out, c) && len(out) < maxCandidates {
				out = append(out, c)
			}
		}
	}
	return out
}

// sameCountry compares the countries of two names; one that states none fits.
func sameCountry(a, b pki.Name) bool {
	return a.Country == "" || b.Country == "" || a.Country == b.Country
}

// isProven says whether c is an anchor or a proven link certificate.
func (t *Trust) isProven(c *csca) bool {
	if !c.proven && !c.failed {
		c.failed = !t.prove(c, map[*csca]bool{})
	}
	return c.proven
}

// prove searches for a chain from c to a certificate that is signed by
// itself. Only success is remembered on the way: a failure may be due to
// where the search began.
func (t *Trust) prove(c *csca, visited map[*csca]bool) bool {
	if c.proven {
		return true
	}
	if c.failed || visited[c] || !sameCountry(c.cert.Issuer, c.cert.Subject) {
		return false
	}
	visited[c] = true
	if signsItself(c.cert) {
		c.proven = true
		return true
	}
	for _, p := range t.candidates(c.cert.Issuer, c.cert.AuthorityKeyID) {
		if p != c && t.prove(p, visited) && c.cert.CheckSignatureFrom(p.cert) == nil {
			c.proven, c.by = true, p
			return true
		}
	}
	return false
}

func signsItself(c *pki.Certificate) bool {
	if !c.SelfIssued() || len(c.AuthorityKeyID) > 0 && !c.HasKeyID(c.AuthorityKeyID) {
		return false
	}
	return c.CheckSignatureFrom(c) == nil
}

// Errors of the search for an issuer.
var (
	errNoCSCA  = errors.New("no trusted CSCA is known for it")
	errForgery = errors.New("its signature is not that of the CSCA it names")
)

// issuerOf finds the proven CSCA that signed a certificate. Among several
// certificates of the same key it takes one that is good by the given test.
// Where the CSCA that the certificate names is known and did not sign it, the
// CSCA comes with an error; errNoCSCA comes alone.
func (t *Trust) issuerOf(c *pki.Certificate, good func(*pki.Certificate) bool) (*csca, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	signers, named, err := t.signersOf(c)
	for _, p := range signers {
		if good(p.cert) {
			return p, nil
		}
	}
	if len(signers) > 0 {
		return signers[0], nil
	}
	return named, err
}

// maxRemembered bounds how many document signers are remembered. A state has
// some hundred in use, and each signs thousands of documents.
const maxRemembered = 4096

// signersOf gives every proven certificate of the key that signed c. What was
// found is remembered: the next document of the same signer costs nothing.
// The certificate that is named comes where its key did not sign.
func (t *Trust) signersOf(c *pki.Certificate) (signers []*csca, named *csca, err error) {
	sum := sha256.Sum256(c.Raw)
	if found := t.issued[sum]; found != nil {
		return found, nil, nil
	}
	err = errNoCSCA
	for _, p := range t.candidates(c.Issuer, c.AuthorityKeyID) {
		if len(signers) > 0 {
			if p.cert.Key.Equal(signers[0].cert.Key) && t.isProven(p) {
				signers = append(signers, p)
			}
			continue
		}
		if !t.isProven(p) {
			continue
		}
		switch wrong := c.CheckSignatureFrom(p.cert); {
		case wrong == nil:
			signers = append(signers, p)
		case errors.Is(wrong, pki.ErrUnsupported):
			named, err = p, wrong
		case named == nil && names(c, p.cert):
			named, err = p, errForgery
		}
	}
	if len(signers) == 0 {
		return nil, named, err
	}
	if len(t.issued) >= maxRemembered {
		t.issued = nil
	}
	if t.issued == nil {
		t.issued = map[[sha256.Size]byte][]*csca{}
	}
	t.issued[sum] = signers
	return signers, nil, nil
}

// names says whether a certificate states that this very CSCA signed it. A
// state keeps its name when it takes a new key, so the key identifier
// decides; only a certificate without one is bound by the name alone.
func names(c, issuer *pki.Certificate) bool {
	if len(c.AuthorityKeyID) > 0 {
		return issuer.HasKeyID(c.AuthorityKeyID)
	}
	return true
}
