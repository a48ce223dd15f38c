package document

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"gateagent/match/document/pki"
)

// Reason says in one word why something of the trust folder is not used.
type Reason string

// Reasons. The empty one means that it is used.
const (
	ReasonMalformed      Reason = "malformed"       // it does not parse
	ReasonUnsupported    Reason = "unsupported"     // a key or algorithm that is not known here, short keys included
	ReasonNotCSCA        Reason = "not_a_csca"      // its key usage does not allow signing certificates
	ReasonOtherCountry   Reason = "other_country"   // issuer and subject are of two countries
	ReasonNoIssuer       Reason = "no_issuer"       // a link certificate whose issuer is not at hand
	ReasonIssuerUnproven Reason = "issuer_unproven" // its issuer signed it and is itself not proven
	ReasonBadSignature   Reason = "bad_signature"   // the issuer that it names did not sign it
	ReasonUnsigned       Reason = "unsigned"        // a list without a signature
	ReasonOldList        Reason = "superseded"      // a newer list of the same issuer counts for what is not revoked
)

// Text explains a reason.
func (r Reason) Text() string {
	return map[Reason]string{
		ReasonMalformed:      "it does not parse",
		ReasonUnsupported:    "its key or its signature is of a kind that is not known here, or too short",
		ReasonNotCSCA:        "its key usage does not allow it to sign certificates",
		ReasonOtherCountry:   "its issuer is of another country",
		ReasonNoIssuer:       "it is signed by another key, and no certificate of that one is at hand",
		ReasonIssuerUnproven: "its issuer is at hand and is itself not proven",
		ReasonBadSignature:   "it is not signed by the one it names",
		ReasonUnsigned:       "it carries no signature",
		ReasonOldList:        "a newer list of the same issuer is at hand",
		ReasonNoSigner:       "no configured signer signed it",
		ReasonUnlisted:       "no signed list vouches for this anchor",
		ReasonNotNeeded:      "documents carry their signers; --document-signers takes them all the same",
		ReasonUnknownKind:    "it is none of the things that a trust folder holds",
		ReasonDelta:          "it is a delta or indirect CRL",
		ReasonPurpose:        "its signer's certificate is for something else",
	}[r]
}

// reasonOf sorts the errors of reading.
func reasonOf(err error) Reason {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, pki.ErrUnsupported):
		return ReasonUnsupported
	case errors.Is(err, errNotCSCA):
		return ReasonNotCSCA
	case errors.Is(err, errUnsigned):
		return ReasonUnsigned
	case errors.Is(err, pki.ErrSignature), errors.Is(err, errForgery):
		return ReasonBadSignature
	case errors.Is(err, errNoCSCA):
		return ReasonNoIssuer
	}
	return ReasonMalformed
}

// CertificateInfo describes one certificate for people.
type CertificateInfo struct {
	Country string    `json:"country"`
	Name    string    `json:"name"`
	Role    string    `json:"role"`  // anchor, link; signer; refused
	State   string    `json:"state"` // valid, expired, not yet valid
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Key     string    `json:"key"`
	KeyID   string    `json:"key_id"`
	Serial  string    `json:"serial"`
	Signed  string    `json:"signed"` // the algorithm of its signature
	SHA256  string    `json:"sha256"`
	File    string    `json:"file,omitempty"`
	Reason  Reason    `json:"reason,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

// CRLInfo describes one revocation list.
type CRLInfo struct {
	Country string    `json:"country"`
	Issuer  string    `json:"issuer"`
	From    time.Time `json:"this_update"`
	Next    time.Time `json:"next_update"`
	AgeDays int       `json:"age_days"`
	Past90  bool      `json:"past_90_days"` // ICAO 9303-12 section 4.1.5
	Stale   bool      `json:"stale"`        // past its own next update
	Revoked int       `json:"revoked"`
	Partial bool      `json:"partial"` // its silence proves nothing
	Proven  bool      `json:"proven"`
	File    string    `json:"file"`
	Reason  Reason    `json:"reason,omitempty"`
}

// DefectListInfo describes one defect list that counts.
type DefectListInfo struct {
	Country string    `json:"country"` // of its signer
	Signer  string    `json:"signer"`
	Signed  time.Time `json:"signed"` // as its signer says; zero where it does not
	Version int       `json:"version"`
	Entries int       `json:"entries"`
	File    string    `json:"file"`
}

// FileInfo is a file, or a part of one, that is not used.
type FileInfo struct {
	File   string   `json:"file"`
	Kind   FileKind `json:"kind"`
	Reason Reason   `json:"reason"`
	Detail string   `json:"detail"`
}

// Inventory is what a trust folder holds and what each thing is worth.
type Inventory struct {
	At           time.Time         `json:"at"`
	Certificates []CertificateInfo `json:"certificates"`
	CRLs         []CRLInfo         `json:"crls"`
	DefectLists  []DefectListInfo  `json:"defect_lists"`
	Signers      int               `json:"document_signers"`
	Unused       []FileInfo        `json:"unused"`
}

// Inventory proves everything and describes it, with validity and age as of
// the given moment. It takes a second for a thousand certificates.
func (t *Trust) Inventory(at time.Time) Inventory {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := Inventory{
		At: at, Signers: len(t.signers.byID),
		Certificates: []CertificateInfo{}, CRLs: []CRLInfo{}, DefectLists: []DefectListInfo{}, Unused: []FileInfo{}, // for programs: never null
	}
	for _, list := range t.byName {
		for _, c := range list {
			out.Certificates = append(out.Certificates, t.describe(c, at))
		}
	}
	slices.SortFunc(out.Certificates, func(a, b CertificateInfo) int {
		return cmp.Or(cmp.Compare(a.Country, b.Country), cmp.Compare(a.Name, b.Name), a.From.Compare(b.From), cmp.Compare(a.SHA256, b.SHA256))
	})
	newest := t.newestCRLs()
	for _, l := range t.crls {
		out.CRLs = append(out.CRLs, t.describeCRL(l, at, newest))
	}
	slices.SortFunc(out.CRLs, func(a, b CRLInfo) int {
		return cmp.Or(cmp.Compare(a.Country, b.Country), cmp.Compare(a.Issuer, b.Issuer), b.From.Compare(a.From))
	})
	for _, l := range t.defects {
		out.DefectLists = append(out.DefectLists, DefectListInfo{
			Country: country(l.signer), Signer: l.signer.Subject.Common, Signed: l.at.UTC(),
			Version: l.list.Version + 1, Entries: len(l.list.Entries), File: l.file,
		})
	}
	for _, f := range t.files {
		if f.Err != nil {
			out.Unused = append(out.Unused, FileInfo{f.Name, f.Kind, reasonOf(f.Err), f.Err.Error()})
		}
		for _, err := range f.Refused {
			out.Unused = append(out.Unused, FileInfo{f.Name, f.Kind, reasonOf(err), err.Error()})
		}
	}
	return out
}

// describe says what a certificate is and why it is not proven.
func (t *Trust) describe(c *csca, at time.Time) CertificateInfo {
	info := Describe(c.cert, at)
	info.File = c.file
	switch {
	case !t.isProven(c):
		info.Role = "refused"
		info.Reason, info.Detail = t.why(c.cert)
	case c.by == nil:
		info.Role = "anchor"
	default:
		info.Role = "link"
	}
	return info
}

// Describe gives the fields of a certificate, without saying what it is worth.
func Describe(c *pki.Certificate, at time.Time) CertificateInfo {
	state := "valid"
	switch {
	case at.Before(c.NotBefore):
		state = "not yet valid"
	case at.After(c.NotAfter):
		state = "expired"
	}
	sum := sha256.Sum256(c.Raw)
	return CertificateInfo{
		Country: country(c), Name: cmp.Or(c.Subject.Common, "(without a common name)"), State: state, From: c.NotBefore.UTC(), Until: c.NotAfter.UTC(),
		Key: c.Key.String(), KeyID: hex.EncodeToString(c.KeyID()), Serial: hex.EncodeToString(c.Serial),
		Signed: c.Algorithm.String(), SHA256: hex.EncodeToString(sum[:]),
	}
}

// why names the reason for which a CSCA or link certificate has no proof.
func (t *Trust) why(c *pki.Certificate) (Reason, string) {
	switch {
	case c.AlgorithmErr != nil:
		return reasonOf(c.AlgorithmErr), c.AlgorithmErr.Error()
	case !sameCountry(c.Issuer, c.Subject):
		return ReasonOtherCountry, c.Issuer.Country
	case c.SelfIssued() && (len(c.AuthorityKeyID) == 0 || c.HasKeyID(c.AuthorityKeyID)):
		err := c.CheckSignatureFrom(c)
		return reasonOf(err), fmt.Sprint(err)
	}
	key := "no key identifier"
	if len(c.AuthorityKeyID) > 0 {
		key = fmt.Sprintf("key %x", c.AuthorityKeyID)
	}
	reason, detail := ReasonNoIssuer, fmt.Sprintf("issuer %q, %s", c.Issuer.Common, key)
	for _, p := range t.candidates(c.Issuer, c.AuthorityKeyID) {
		switch err := c.CheckSignatureFrom(p.cert); {
		case p.cert == c:
		case err == nil:
			return ReasonIssuerUnproven, p.cert.Subject.Common
		case names(c, p.cert):
			reason, detail = reasonOf(err), err.Error()
		}
	}
	return reason, detail
}

// newestCRLs gives the newest proven complete list under each name.
func (t *Trust) newestCRLs() map[string]*crl {
	out := map[string]*crl{}
	for _, l := range t.crls {
		if !t.isProvenCRL(l) || l.list.Partial {
			continue
		}
		if n := out[l.list.Issuer.Key]; n == nil || l.list.ThisUpdate.After(n.list.ThisUpdate) {
			out[l.list.Issuer.Key] = l
		}
	}
	return out
}

func (t *Trust) describeCRL(l *crl, at time.Time, newest map[string]*crl) CRLInfo {
	age := at.Sub(l.list.ThisUpdate)
	info := CRLInfo{
		Country: l.list.Issuer.Country, Issuer: l.list.Issuer.Common, From: l.list.ThisUpdate.UTC(), Next: l.list.NextUpdate.UTC(),
		AgeDays: int(age.Hours() / 24), Past90: age > pki.MaxAge, Stale: at.After(l.list.NextUpdate),
		Revoked: l.list.Len(), Partial: l.list.Partial, Proven: t.isProvenCRL(l), File: l.file,
	}
	switch n := newest[l.list.Issuer.Key]; {
	case !info.Proven && len(t.candidates(l.list.Issuer, l.list.AuthorityKeyID)) == 0:
		info.Reason = ReasonNoIssuer
	case !info.Proven:
		info.Reason = ReasonBadSignature
	case n != nil && n != l && !l.list.ThisUpdate.After(n.list.ThisUpdate):
		info.Reason = ReasonOldList
	}
	return info
}
