package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"gateagent/match/document/defect"
	"gateagent/match/document/ldif"
	"gateagent/match/document/pki"
)

// ImportConfig says how files are taken into a trust folder.
type ImportConfig struct {
	Dir string
	// Signers are the certificates that master lists must be signed by, or
	// under: list signers or their CSCAs.
	Signers []*pki.Certificate
	// Content is the SHA-256 of a bare master list, in hexadecimal: the
	// operator has compared it with what the publisher says.
	Content string
	// DocumentSigners takes in document signers as well. Only documents that
	// lack their own need them, and each costs memory on every kiosk.
	DocumentSigners bool
	// Replace removes the older master lists of the same publisher, and with
	// them what it no longer lists.
	Replace bool
	DryRun  bool
	// Progress is told how many objects were looked at; a total of 0 is not
	// known yet.
	Progress func(phase string, done, total int)
}

// Outcome is what became of an object.
type Outcome string

// Outcomes.
const (
	Added    Outcome = "added"
	Known    Outcome = "known"
	Refused  Outcome = "refused"
	Skipped  Outcome = "skipped" // document signers that nobody asked for
	Replaced Outcome = "removed" // an older list, since a newer one is in
)

// ImportItem is one object and what became of it.
type ImportItem struct {
	Outcome Outcome `json:"outcome"`
	Kind    string  `json:"kind"`
	Country string  `json:"country,omitempty"`
	Name    string  `json:"name,omitempty"`
	SHA256  string  `json:"sha256,omitempty"`
	Source  string  `json:"source"` // file, and the line in it
	File    string  `json:"file,omitempty"`
	Reason  Reason  `json:"reason,omitempty"`
	Detail  string  `json:"detail,omitempty"`
}

// Reasons of the import alone.
const (
	ReasonNoSigner    Reason = "no_signer"       // no signer is configured that the master list is from
	ReasonUnlisted    Reason = "unlisted"        // an anchor that no signed list vouches for
	ReasonNotNeeded   Reason = "not_needed"      // a document signer
	ReasonUnknownKind Reason = "unknown_kind"    // none of the kinds that a trust folder holds
	ReasonDelta       Reason = "not_a_plain_crl" // a delta or indirect CRL
	ReasonPurpose     Reason = "signer_may_not"  // the signer's certificate is for something else
)

// object is one thing to import.
type object struct {
	source string
	der    []byte
	byHand bool // the operator named this very file
	cert   *pki.Certificate
	crl    *pki.CRL
	list   *pki.SignedData
	bare   []*pki.Certificate // of a bare master list
	err    error
	reason Reason
	anchor bool // the certificate is a CSCA's and signed by itself
}

// Importer takes objects into a trust folder: Read collects them, Finish
// judges them together and writes.
type Importer struct {
	cfg   ImportConfig
	trust *Trust
	held  map[[sha256.Size]byte]string // whole files that are there, by content
	todo  []*object
	lists []publishedList
	seen  map[[sha256.Size]byte]bool
	out   []ImportItem
	write []staged
	done  int
	size  int
}

// staged is a file that Finish writes, or removes where der is nil.
type staged struct {
	name string
	der  []byte
}

// maxImport bounds how many bytes one import keeps in memory.
const maxImport = 256 << 20

// NewImporter reads the trust folder as it is.
func NewImporter(cfg ImportConfig) (*Importer, error) {
	t, err := LoadTrust(cfg.Dir, nil)
	if err != nil {
		return nil, err
	}
	im := &Importer{cfg: cfg, trust: t, held: map[[sha256.Size]byte]string{}, seen: map[[sha256.Size]byte]bool{}}
	for _, f := range t.files {
		b, err := readBounded(filepath.Join(cfg.Dir, f.Name))
		if err != nil {
			continue // LoadTrust has said so
		}
		for _, der := range unpack(b) {
			im.held[sha256.Sum256(der)] = f.Name
		}
		im.remember(f, b)
	}
	return im, nil
}

// directory names the attributes of the ICAO directory that hold something
// (parts 001 to 003 of its exports; the third under an older name too).
var directory = []string{"userCertificate", "cACertificate", "certificateRevocationList", "pkdMasterListContent", "CscaMasterListData"}

// Read collects the objects of one file: LDIF, or a certificate, CRL, master
// list or defect list in DER or PEM. Its error is that of reading; what the
// objects are worth comes out of Finish.
func (im *Importer) Read(name string, r io.Reader) error {
	if strings.EqualFold(filepath.Ext(name), ".ldif") {
		return ldif.Read(r, directory, func(v ldif.Value) error {
			return im.collect(fmt.Sprintf("%s:%d", name, v.Line), v.Data, false)
		})
	}
	b, err := io.ReadAll(io.LimitReader(r, maxTrustFile+1))
	if err != nil {
		return err
	}
	if len(b) > maxTrustFile {
		return fmt.Errorf("larger than %d MiB, which no certificate and no list is", maxTrustFile>>20)
	}
	ders := unpack(b)
	if len(ders) == 0 || len(b) == 0 {
		return errors.New("holds nothing: give a certificate, CRL, master list, defect list or .ldif")
	}
	for _, der := range ders {
		if err := im.collect(name, der, true); err != nil {
			return err
		}
	}
	return nil
}

func (im *Importer) progress(phase string, done, total int) {
	if im.cfg.Progress != nil && done%50 == 0 {
		im.cfg.Progress(phase, done, total)
	}
}

// collect sorts one object. The bytes are copied: a reader may use them again.
func (im *Importer) collect(source string, der []byte, byHand bool) error {
	im.done++
	im.progress("read", im.done, 0)
	sum := sha256.Sum256(der)
	if im.seen[sum] {
		return nil
	}
	im.seen[sum] = true
	o := &object{source: source, der: bytes.Clone(der), byHand: byHand}
	o.sort()
	if o.cert != nil && !mayIssue(o.cert) && !im.cfg.DocumentSigners {
		im.report(o, Skipped, ReasonNotNeeded, "")
		return nil
	}
	im.todo = append(im.todo, o)
	if im.size += len(der); im.size > maxImport {
		return fmt.Errorf("more than %d MiB at once: import in parts", maxImport>>20)
	}
	return nil
}

// sort finds out what an object is by its content; names of files lie.
func (o *object) sort() {
	var err error
	if o.cert, err = pki.ParseCertificate(o.der); err == nil {
		o.anchor = mayIssue(o.cert) && signsItself(o.cert)
		return
	}
	certErr := err
	if o.crl, err = pki.ParseCRL(o.der); err == nil {
		return
	}
	if errors.Is(err, pki.ErrDeltaCRL) || errors.Is(err, pki.ErrIndirectCRL) {
		o.err, o.reason = err, ReasonDelta
		return
	}
	if o.list, err = pki.ParseSignedData(o.der); err == nil {
		switch o.list.ContentType {
		case pki.OIDMasterList, defect.OIDList:
		default:
			o.err, o.reason = errors.New("a signed message of another kind"), ReasonUnknownKind
		}
		return
	}
	if certs, _, err := pki.ParseMasterListContent(o.der); err == nil && len(certs) > 0 {
		o.bare = certs
		return
	}
	o.err, o.reason = fmt.Errorf("neither certificate nor CRL nor list: %w", certErr), ReasonUnknownKind
}

// kind names an object for people and in file names.
func (o *object) kind() (kind, ext string) {
	switch {
	case o.cert != nil && !mayIssue(o.cert):
		return "signer", ".cer"
	case o.anchor:
		return "csca", ".cer"
	case o.cert != nil:
		return "link", ".cer"
	case o.crl != nil:
		return "crl", ".crl"
	case o.list != nil && o.list.ContentType == defect.OIDList:
		return "defects", ".dl"
	case o.list != nil && o.list.ContentType == pki.OIDMasterList, o.bare != nil:
		return "masterlist", ".ml"
	}
	return "unknown", ""
}

// names gives country and name of whom an object is from.
func (o *object) names() (string, string) {
	switch {
	case o.cert != nil:
		return country(o.cert), o.cert.Subject.Common
	case o.crl != nil:
		return o.crl.Issuer.Country, o.crl.Issuer.Common
	case o.list != nil && len(o.list.Signers) > 0:
		if c := o.list.Signers[0].Certificate(o.list.Certificates); c != nil {
			return country(c), c.Subject.Common
		}
		return o.list.Signers[0].ID.Issuer.Country, ""
	}
	return "", ""
}

func (im *Importer) report(o *object, what Outcome, why Reason, detail string) *ImportItem {
	kind, _ := o.kind()
	land, name := o.names()
	sum := sha256.Sum256(o.der)
	im.out = append(im.out, ImportItem{
		Outcome: what, Kind: kind, Country: land, Name: name, SHA256: hex.EncodeToString(sum[:]),
		Source: o.source, Reason: why, Detail: detail,
	})
	return &im.out[len(im.out)-1]
}

// stage has an object written under a name that follows from its content.
func (im *Importer) stage(o *object) {
	kind, ext := o.kind()
	land, _ := o.names()
	if land = strings.Map(onlyLetters, land); land == "" {
		land = "XX"
	}
	sum := sha256.Sum256(o.der)
	name := fmt.Sprintf("%s-%s-%s%s", kind, land, hex.EncodeToString(sum[:8]), ext)
	im.held[sum] = name
	im.write = append(im.write, staged{name: name, der: o.der})
	im.report(o, Added, "", "").File = name
}

func onlyLetters(r rune) rune {
	if r < 'A' || r > 'Z' {
		return -1
	}
	return r
}
