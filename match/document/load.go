package document

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"gateagent/match/document/defect"
	"gateagent/match/document/pki"
)

// maxTrustFile bounds one file of the trust folder; the largest published
// master lists have about one megabyte, CRLs less.
const maxTrustFile = 15 << 20

// FileKind is what a file of the trust folder holds, by the end of its name.
type FileKind string

// Kinds of files.
const (
	FileCertificates FileKind = "certificates"    // *.cer *.der *.pem
	FileMasterList   FileKind = "master list"     // *.ml
	FileCRL          FileKind = "revocation list" // *.crl
	FileDefectList   FileKind = "defect list"     // *.dl *.dfl
)

func kindOf(name string) FileKind {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".cer", ".der", ".pem":
		return FileCertificates
	case ".crl":
		return FileCRL
	case ".ml":
		return FileMasterList
	case ".dl", ".dfl":
		return FileDefectList
	}
	return ""
}

// TrustFile is one file of the trust folder and what came of it.
type TrustFile struct {
	Name    string
	Kind    FileKind
	Err     error   // why nothing, or not all, of it is used
	Refused []error // certificates of a master list that are not used
}

// LoadTrust reads a folder of CSCA certificates (*.cer, *.der, *.pem), master
// lists (*.ml), revocation lists (*.crl) and defect lists (*.dl, *.dfl). A
// file that cannot be used is ignored with one line in the log. Certificates
// of document signers serve documents that lack their own. An empty folder
// trusts nobody; a missing one is an error.
func LoadTrust(dir string, log *slog.Logger) (*Trust, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("trust folder: %w; create it or name the right one", err)
	}
	t := &Trust{}
	t.stamp, _ = folderStamp(dir) // before the files: what changes meanwhile is read again
	// Lists come after the certificates that their signers may need.
	for _, kind := range []FileKind{FileCertificates, FileCRL, FileMasterList, FileDefectList} {
		anchors := t
		if kind == FileMasterList { // no list may vouch for another
			anchors = t.clone()
		}
		for _, e := range entries {
			if !e.IsDir() && kindOf(e.Name()) == kind {
				t.files = append(t.files, t.loadFile(anchors, dir, e.Name(), kind))
			}
		}
	}
	t.settle()
	t.tell(dir, log)
	return t, nil
}

// settle forgets what was searched while the folder was read: an anchor may
// have come later.
func (t *Trust) settle() {
	t.issued, t.renames = nil, nil
	for _, list := range t.byName {
		for _, c := range list {
			c.failed = false
		}
	}
}

// tell logs one line for each file that is not used, or not whole.
func (t *Trust) tell(dir string, log *slog.Logger) {
	for _, f := range t.files {
		path := filepath.Join(dir, f.Name)
		switch {
		case f.Err != nil:
			log.Warn("trust file ignored", "file", path, "reason", f.Err.Error())
		case len(f.Refused) > 0:
			log.Warn("certificates of a master list not used", "file", path,
				"count", len(f.Refused), "first", f.Refused[0].Error())
		}
	}
}

func (t *Trust) loadFile(anchors *Trust, dir, name string, kind FileKind) TrustFile {
	f := TrustFile{Name: name, Kind: kind}
	b, err := readBounded(filepath.Join(dir, name))
	if err != nil {
		f.Err = err
		return f
	}
	switch kind {
	case FileCertificates:
		f.Err = t.loadCertificates(b, name)
	case FileCRL:
		f.Err = t.loadCRL(b, name)
	case FileMasterList:
		f.Refused, f.Err = t.loadMasterList(anchors, b, name)
	case FileDefectList:
		f.Err = t.loadDefectList(b, name)
	}
	return f
}

// Certificates gives how many candidates for anchors and links are held.
func (t *Trust) Certificates() int { return len(t.known) }

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTrustFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxTrustFile {
		return nil, fmt.Errorf("larger than %d MiB", maxTrustFile>>20)
	}
	return b, nil
}

// unpack gives the DER blobs of a file, whether it is PEM or DER.
func unpack(b []byte) [][]byte {
	if !bytes.Contains(b, []byte("-----BEGIN ")) {
		return [][]byte{b}
	}
	var out [][]byte
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return out
		}
		out = append(out, block.Bytes)
	}
}

// ParseCertificates reads the certificates of a file, in DER or PEM.
func ParseCertificates(b []byte) ([]*pki.Certificate, error) {
	var out []*pki.Certificate
	for _, der := range unpack(b) {
		c, err := pki.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("holds no certificate")
	}
	return out, nil
}

func (t *Trust) loadCertificates(b []byte, name string) error {
	ders := unpack(b)
	if len(ders) == 0 {
		return errors.New("holds no certificate")
	}
	var problem error
	for _, der := range ders {
		c, err := pki.ParseCertificate(der)
		if err == nil {
			err = t.add(c, name)
		}
		if errors.Is(err, errNotCSCA) && (c.KeyUsage.May(pki.UsageDigitalSignature)) {
			t.signers.add(c) // a document signer
			err = nil
		}
		if err != nil && problem == nil {
			problem = err // one line; the good ones of the file are in
		}
	}
	return problem
}

func (t *Trust) loadCRL(b []byte, name string) error {
	ders := unpack(b)
	if len(ders) == 0 {
		return errors.New("holds no CRL")
	}
	for _, der := range ders {
		l, err := pki.ParseCRL(der)
		if err != nil {
			return err
		}
		t.crls = append(t.crls, &crl{list: l, file: name})
	}
	return nil
}

// clone copies the set of certificates, not the lists.
func (t *Trust) clone() *Trust {
	n := &Trust{}
	for _, list := range t.byName {
		for _, c := range list {
			n.insert(c)
		}
	}
	return n
}

// Errors of lists.
var (
	// errUnsigned says what to do about a bare list, which some publish.
	errUnsigned = errors.New("the list carries no signature, so nothing says whose it is: get the signed file from its publisher, or place single CSCA certificates here")
	errPurpose  = errors.New("its signer may not sign such lists")
)

// openList reads one signed message with the given type of content.
func openList(b []byte, contentType, what string) (*pki.SignedData, error) {
	ders := unpack(b)
	if len(ders) != 1 {
		return nil, errors.New("holds no single " + what)
	}
	sd, err := pki.ParseSignedData(ders[0])
	if err == nil && sd.ContentType != contentType {
		err = errors.New("is no " + what)
	}
	return sd, err
}

// openMasterList reads a master list without judging its signature.
func openMasterList(b []byte) (sd *pki.SignedData, certs []*pki.Certificate, refused []error, err error) {
	sd, err = openList(b, pki.OIDMasterList, "master list")
	if err != nil {
		if ders := unpack(b); len(ders) == 1 {
			if _, _, bare := pki.ParseMasterListContent(ders[0]); bare == nil {
				err = errUnsigned
			}
		}
		return nil, nil, nil, err
	}
	certs, refused, err = pki.ParseMasterListContent(sd.Content)
	return sd, certs, refused, err
}

// loadMasterList takes in the certificates of a master list if its signature
// verifies and its signer chains to an anchor of the folder or to a CSCA
// inside the list itself (ICAO 9303-12 section 9).
func (t *Trust) loadMasterList(anchors *Trust, b []byte, name string) (refused []error, err error) {
	sd, certs, refused, err := openMasterList(b)
	if err != nil {
		return nil, err
	}
	all := anchors.clone()
	for _, c := range certs {
		if err := all.add(c, name); err != nil {
			refused = append(refused, fmt.Errorf("%s %s: %w", c.Subject.Country, c.Subject.Common, err))
		}
	}
	if _, err := all.checkListSigner(sd, certs, mayListMasters); err != nil {
		return nil, err
	}
	for _, list := range all.byName {
		for _, c := range list {
			t.insert(c)
		}
	}
	return refused, nil
}

// mayListMasters: a master list signer without any extended key usage is
// accepted, one with another is not.
func mayListMasters(c *pki.Certificate) bool {
	return len(c.ExtendedKeyUsage) == 0 || c.Uses(pki.OIDMasterListSigner)
}

// mayListDefects: any document signer could sign a defect list otherwise, so
// the usage that BSI TR-03129-2 section 7.2 recommends is required here.
func mayListDefects(c *pki.Certificate) bool { return c.Uses(defect.OIDSigner) }

// loadDefectList takes in a defect list if its signature verifies and its
// signer chains to an anchor (BSI TR-03129-2 section 7.2).
func (t *Trust) loadDefectList(b []byte, name string) error {
	sd, err := openList(b, defect.OIDList, "defect list")
	if err != nil {
		return err
	}
	l, err := defect.Parse(sd.Content)
	if err != nil {
		return err
	}
	signer, err := t.checkListSigner(sd, nil, mayListDefects)
	if err != nil {
		return err
	}
	t.defects = append(t.defects, &defectList{list: l, file: name, signer: signer, at: sd.Signers[0].SigningTime})
	return nil
}

// checkListSigner accepts the list when one of its signers passes, and gives
// that signer's certificate.
func (t *Trust) checkListSigner(sd *pki.SignedData, inside []*pki.Certificate, may func(*pki.Certificate) bool) (*pki.Certificate, error) {
	err := errors.New("has no signer")
	for _, s := range sd.Signers {
		var c *pki.Certificate
		if c, err = listSigner(s, sd, inside, may); err != nil {
			continue
		}
		if _, err = t.issuerOf(c, func(*pki.Certificate) bool { return true }); err == nil {
			return c, nil
		}
		err = fmt.Errorf("its signer is not trusted: %w", err)
	}
	return nil, err
}

// listSigner finds a signer's certificate and checks all but whether it is
// trusted.
func listSigner(s *pki.Signer, sd *pki.SignedData, inside []*pki.Certificate, may func(*pki.Certificate) bool) (*pki.Certificate, error) {
	c := s.Certificate(sd.Certificates)
	if c == nil {
		c = s.Certificate(inside)
	}
	if c == nil {
		return nil, errors.New("its signer's certificate is not at hand")
	}
	if err := s.CheckDigest(sd); err != nil {
		return nil, err
	}
	if err := s.CheckSignature(c); err != nil {
		return nil, err
	}
	if !may(c) {
		return nil, errPurpose
	}
	return c, nil
}
