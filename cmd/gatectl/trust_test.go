package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gateagent/internal/ber"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// TestTrustScripts runs the scripts of `gatectl trust` on files that simulated
// states make: two CSCAs, their lists and documents.
func TestTrustScripts(t *testing.T) {
	files, err := trustFiles()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/trust", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if err := withProgram(e); err != nil {
				return err
			}
			for name, b := range files {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), b, 0o644); err != nil {
					return err
				}
			}
			bare := sha256.Sum256(files["bare.ml"])
			e.Setenv("BARE", hex.EncodeToString(bare[:]))
			return os.Mkdir(filepath.Join(e.WorkDir, "trust"), 0o755)
		},
	})
}

// trustFiles makes the files once: a world's keys take longest.
var trustFiles = sync.OnceValues(func() (map[string][]byte, error) {
	w := doc.NewWorld(11)
	m := &maker{files: map[string][]byte{}}
	vn, de := m.state(w.State("VNM")), m.state(w.State("D"))
	next := m.authority(doc.NewAuthority(12, de.Authority.Config))
	month := func(n int) time.Time { return time.Date(2026, time.Month(n), 1, 0, 0, 0, 0, time.UTC) }
	m.add("csca-vn.cer")(vn.Authority.Certificate, nil)
	m.add("csca-de.cer")(de.Authority.Certificate, nil)
	m.add("csca-next.cer")(next.Certificate, nil)
	m.add("ds-vn.cer")(vn.Signer.Certificate, nil)
	m.add("link-de.cer")(de.Authority.Link(next))
	m.add("list.ml")(de.Authority.MasterList(vn.Authority.Certificate, de.Authority.Certificate))
	lister := m.signer(de.Authority.NewListSigner("Master list signer", doc.MasterListUsage))
	m.add("lister.cer")(lister.Certificate, nil)
	m.add("march.ml")(de.Authority.MasterListBy(lister, doc.SecurityObject{SignedAt: month(3)}, vn.Authority.Certificate, de.Authority.Certificate))
	m.add("april.ml")(de.Authority.MasterListBy(lister, doc.SecurityObject{SignedAt: month(4)}, de.Authority.Certificate))
	m.add("broken.ml")(de.Authority.MasterListBy(lister, doc.SecurityObject{BadSign: true}, de.Authority.Certificate))
	m.add("wrong.ml")(de.Authority.MasterListBy(signerOf(m, de), doc.SecurityObject{}, de.Authority.Certificate))
	m.add("vn-may.crl")(vn.Authority.CRL(month(5), month(6), 1))
	m.add("vn-june.crl")(vn.Authority.CRL(month(6), month(7), 2, big.NewInt(77)))
	m.add("vn-revoked.crl")(vn.Authority.CRL(month(6), month(7), 3, vn.Signer.Serial))
	m.add("vn-forged.crl")(vn.Authority.ForgeCRL(month(6), month(7), 4))
	m.add("defects.dl")(de.Authority.DefectList(signerOf(m, de), 2, doc.SecurityObject{}, doc.Defect{Signer: vn.Signer, Known: []doc.KnownDefect{doc.WithStatus(doc.DefectCertRevoked, 1)}}))
	entry := func(name string, crl bool) doc.PKDEntry {
		return doc.PKDEntry{Country: "VN", CRL: crl, Raw: m.files[name]}
	}
	m.add("001.ldif")(doc.LDIF(doc.PKDSigners, entry("ds-vn.cer", false), entry("vn-june.crl", true), entry("csca-vn.cer", false)), nil)
	m.add("002.ldif")(doc.LDIF(doc.PKDMasterLists, entry("list.ml", false)), nil)
	m.add("noise.cer")([]byte("noise"), nil)
	m.add("bare.ml")(ber.Make(ber.Sequence, ber.Make(ber.Integer, []byte{0}), ber.Make(ber.Set, vn.Authority.Certificate, de.Authority.Certificate)), nil)
	if m.err != nil {
		return nil, m.err
	}
	d, err := w.VietnamID(w.Citizen(1))
	if err == nil {
		m.files["sod.bin"] = d.File(chip.FileSOD)
	}
	return m.files, err
})

// maker keeps the first error of many makings.
type maker struct {
	files map[string][]byte
	err   error
}

func (m *maker) add(name string) func([]byte, error) {
	return func(b []byte, err error) {
		m.files[name] = bytes.Clone(b)
		m.keep(err)
	}
}

func (m *maker) keep(err error) {
	if m.err == nil {
		m.err = err
	}
}

func (m *maker) authority(a *doc.Authority, err error) *doc.Authority {
	m.keep(err)
	return a
}

func (m *maker) state(s *doc.State, err error) *doc.State {
	m.keep(err)
	return s
}

// signerOf is a signer of defect lists, who may sign no master list.
func signerOf(m *maker, s *doc.State) *doc.Signer {
	return m.signer(s.Authority.NewListSigner("Defect list signer", doc.DefectListUsage))
}

func (m *maker) signer(s *doc.Signer, err error) *doc.Signer {
	m.keep(err)
	return s
}
