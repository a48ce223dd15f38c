package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"gateagent/internal/ber"
)

// Kinds of list that mean something else are refused by name; a list with a
// scope revokes and its silence proves nothing.
func TestKindsOfCRL(t *testing.T) {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	issuer := &x509.Certificate{Subject: pkix.Name{Country: []string{"UT"}, CommonName: "CSCA"}, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}
	ext := func(id string, critical bool, value []byte) pkix.Extension {
		var oid asn1.ObjectIdentifier
		raw := EncodeOID(id)
		if _, err := asn1.Unmarshal(raw, &oid); err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: oid, Critical: critical, Value: value}
	}
	flag := func(tag uint32, v byte) []byte { return sequenceOf(ber.Make(tag, []byte{v})) }
	old := sequenceOf(ber.Make(ber.Set, sequenceOf(EncodeOID(oidCountry), ber.Make(ber.PrintableString, []byte("UT")))))
	for _, c := range []struct {
		name        string
		list, entry []pkix.Extension
		err         error
		partial     bool
	}{
		{"plain", nil, nil, nil, false},
		{"delta", []pkix.Extension{ext("2.5.29.27", true, ber.Make(ber.Integer, []byte{1}))}, nil, ErrDeltaCRL, false},
		{"indirect", []pkix.Extension{ext("2.5.29.28", true, flag(0x84, 0xFF))}, nil, ErrIndirectCRL, false},
		{"not indirect", []pkix.Extension{ext("2.5.29.28", true, flag(0x84, 0))}, nil, nil, true},
		{"scope", []pkix.Extension{ext("2.5.29.28", true, flag(0x82, 0xFF))}, nil, nil, true},
		{"unknown and critical", []pkix.Extension{ext("1.2.3.4", true, nil)}, nil, nil, true},
		{"unknown", []pkix.Extension{ext("1.2.3.4", false, nil)}, nil, nil, false},
		{"another issuer's entry", nil, []pkix.Extension{ext("2.5.29.29", true, nil)}, ErrIndirectCRL, false},
		{"invalidity date", nil, []pkix.Extension{ext("2.5.29.24", false, ber.Make(ber.GeneralizedTime, []byte("20260615090000Z")))}, nil, false},
		{"old name", []pkix.Extension{ext("2.5.29.18", false, sequenceOf(ber.Make(0xA4, old)))}, nil, nil, false},
	} {
		der := must[[]byte](t)(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Unix(1700000000, 0), NextUpdate: time.Unix(1800000000, 0), ExtraExtensions: c.list,
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: time.Unix(1700000000, 0), ExtraExtensions: c.entry}},
		}, issuer, key))
		l, err := ParseCRL(der)
		if !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err == nil && (l.Partial != c.partial || !l.Revokes([]byte{7})) {
			t.Errorf("%s: %+v", c.name, l)
		}
		if c.name == "old name" && (len(l.AltNames) != 1 || l.AltNames[0] != must[Name](t)(parseName(old)).Key) {
			t.Errorf("names %q", l.AltNames)
		}
	}
}

// A list cannot cost more than its bounds.
func TestHugeCRL(t *testing.T) {
	if _, err := ParseCRL(make([]byte, maxCRL+1)); err == nil {
		t.Error("a list beyond its bound is read")
	}
	entry := sequenceOf(ber.Make(ber.Integer, []byte{1, 2, 3}), ber.Make(ber.UTCTime, []byte("260615090000Z")))
	l := &CRL{revoked: map[string]struct{}{}}
	var all []byte
	for i := range maxRevoked + 1 {
		e := append([]byte(nil), entry...)
		e[4], e[5], e[6] = byte(i>>16)+1, byte(i>>8), byte(i)
		all = append(all, e...)
	}
	if err := l.parseEntries(all[:len(all)-len(entry)]); err != nil || l.Len() != maxRevoked {
		t.Errorf("%d entries: %v", l.Len(), err)
	}
	if err := l.parseEntries(all); err == nil {
		t.Error("too many entries are taken")
	}
}
