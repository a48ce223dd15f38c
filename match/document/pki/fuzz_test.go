package pki

import (
	"testing"

	"gateagent/sim/doc"
)

// The fuzz targets look for panics and for hangs; what parses is also
// verified, since that is where lengths out of a file meet arithmetic.

func seedState(f *testing.F) *doc.State { return must[*doc.State](f)(doc.NewWorld(5).State("VNM")) }

func FuzzCertificate(f *testing.F) {
	s := seedState(f)
	f.Add(s.Authority.Certificate)
	f.Add(s.Signer.Certificate)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCertificate(b)
		if err != nil {
			return
		}
		if (c.Key == nil) == (c.KeyErr == nil) {
			t.Errorf("key %v with error %v", c.Key, c.KeyErr)
		}
		_ = c.CheckSignatureFrom(c)
	})
}

func FuzzMasterList(f *testing.F) {
	s := seedState(f)
	f.Add(must[[]byte](f)(s.Authority.MasterList(s.Authority.Certificate)))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _, _ = ParseMasterListContent(b)
		d, err := ParseSignedData(b)
		if err != nil {
			return
		}
		_, _, _ = ParseMasterListContent(d.Content)
		for _, s := range d.Signers {
			_ = s.CheckDigest(d)
			if c := s.Certificate(d.Certificates); c != nil {
				_ = s.CheckSignature(c)
			}
		}
	})
}

// FuzzSignedData has other messages than master lists.
func FuzzSignedData(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseSignedData(b)
		if err != nil {
			return
		}
		if len(d.Signers) == 0 || len(d.Signers) > maxSigners || len(d.Certificates)+len(d.Unread) > maxCertificates {
			t.Fatalf("%d signers, %d certificates", len(d.Signers), len(d.Certificates))
		}
		for _, s := range d.Signers {
			digest := s.CheckDigest(d)
			c := s.Certificate(d.Certificates)
			if c == nil {
				continue
			}
			if !s.ID.Names(c) || !s.ID.Equal(s.ID) {
				t.Error("the identifier does not name its certificate")
			}
			if s.CheckSignature(c) == nil && digest == nil {
				_ = c.CheckSignatureFrom(c)
			}
		}
	})
}

func FuzzCRL(f *testing.F) {
	s := seedState(f)
	c := must[*Certificate](f)(ParseCertificate(s.Authority.Certificate))
	f.Add(must[[]byte](f)(s.Authority.CRL(c.NotBefore, c.NotAfter, 1, s.Signer.Serial)))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if l, err := ParseCRL(b); err == nil {
			_ = l.CheckSignatureFrom(c)
		}
	})
}
