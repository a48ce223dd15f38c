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

	"gateagent/match/document/pki"
)

// maxTrustFile bounds one file of the trust folder; the largest published
// master lists have about one megabyte, CRLs less.
const maxTrustFile = 15 << 20

// LoadTrust reads a folder of CSCA certificates (*.cer, *.der, *.pem), master
// lists (*.ml) and revocation lists (*.crl). A file that cannot be used is
// ignored with one line in the log. An empty folder trusts nobody; a missing
// one is an error.
func LoadTrust(dir string, log *slog.Logger) (*Trust, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("trust folder: %w; create it or name the right one", err)
	}
	t := &Trust{}
	var lists []string
	ignore := func(name string, err error) {
		log.Warn("trust file ignored", "file", filepath.Join(dir, name), "reason", err.Error())
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			continue
		}
		var err error
		switch strings.ToLower(filepath.Ext(name)) {
		case ".cer", ".der", ".pem":
			err = t.loadCertificates(filepath.Join(dir, name))
		case ".crl":
			err = t.loadCRL(filepath.Join(dir, name))
		case ".ml":
			lists = append(lists, name) // after the anchors they may need
		}
		if err != nil {
			ignore(name, err)
		}
	}
	anchors := t.clone()
	for _, name := range lists {
		refused, err := t.loadMasterList(anchors, filepath.Join(dir, name))
		if err != nil {
			ignore(name, err)
		} else if len(refused) > 0 {
			log.Warn("certificates of a master list not used", "file", filepath.Join(dir, name),
				"count", len(refused), "first", refused[0].Error())
		}
	}
	return t, nil
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

func (t *Trust) loadCertificates(path string) error {
	b, err := readBounded(path)
	if err != nil {
		return err
	}
	ders := unpack(b)
	if len(ders) == 0 {
		return errors.New("holds no certificate")
	}
	var problems []error
	for _, der := range ders {
		c, err := pki.ParseCertificate(der)
		if err == nil {
			err = t.add(c)
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return problems[0] // one line; the good ones of the file are in
	}
	return nil
}

func (t *Trust) loadCRL(path string) error {
	b, err := readBounded(path)
	if err != nil {
		return err
	}
	ders := unpack(b)
	if len(ders) == 0 {
		return errors.New("holds no CRL")
	}
	for _, der := range ders {
		l, err := pki.ParseCRL(der)
		if err != nil {
			return err
		}
		t.crls = append(t.crls, &crl{list: l})
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

// errUnsigned says what to do about a bare list, which some publish.
var errUnsigned = errors.New("the list carries no signature, so nothing says whose it is: get the signed file from its publisher, or place single CSCA certificates here")

// loadMasterList takes in the certificates of a master list if its signature
// verifies and its signer chains to an anchor of the folder or to a CSCA
// inside the list itself (ICAO 9303-12 section 9).
func (t *Trust) loadMasterList(anchors *Trust, path string) (refused []error, err error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	ders := unpack(b)
	if len(ders) != 1 {
		return nil, errors.New("holds no single master list")
	}
	sd, err := pki.ParseSignedData(ders[0])
	if err != nil {
		if _, _, bare := pki.ParseMasterListContent(ders[0]); bare == nil {
			return nil, errUnsigned
		}
		return nil, err
	}
	if sd.ContentType != pki.OIDMasterList {
		return nil, errors.New("is no master list")
	}
	certs, refused, err := pki.ParseMasterListContent(sd.Content)
	if err != nil {
		return nil, err
	}
	all := anchors.clone()
	for _, c := range certs {
		if err := all.add(c); err != nil {
			refused = append(refused, fmt.Errorf("%s %s: %w", c.Subject.Country, c.Subject.Common, err))
		}
	}
	if err := all.checkListSigner(sd, certs); err != nil {
		return nil, err
	}
	for _, list := range all.byName {
		for _, c := range list {
			t.insert(c)
		}
	}
	return refused, nil
}

// checkListSigner accepts the list when one of its signers passes.
func (t *Trust) checkListSigner(sd *pki.SignedData, inside []*pki.Certificate) error {
	err := errors.New("has no signer")
	for _, s := range sd.Signers {
		c := s.Certificate(sd.Certificates)
		if c == nil {
			c = s.Certificate(inside)
		}
		if c == nil {
			err = errors.New("its signer's certificate is not at hand")
			continue
		}
		if err = s.CheckDigest(sd); err != nil {
			continue
		}
		if err = s.CheckSignature(c); err != nil {
			continue
		}
		if len(c.ExtendedKeyUsage) > 0 && !c.Uses(pki.OIDMasterListSigner) {
			err = errors.New("its signer may not sign master lists")
			continue
		}
		if _, err = t.issuerOf(c, func(*pki.Certificate) bool { return true }); err == nil {
			return nil
		}
		err = fmt.Errorf("its signer is not trusted: %w", err)
	}
	return err
}
