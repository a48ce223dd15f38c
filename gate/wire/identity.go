package wire

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Identity is everything that makes a kiosk itself towards central.
type Identity struct {
	Name        string
	Certificate tls.Certificate
	CA          *x509.CertPool
	Broker      []string // tls://host:port, in order of preference
	Signing     ed25519.PrivateKey
	AckKey      ed25519.PublicKey
	ListKeys    []ed25519.PublicKey
	DocKeys     *DocKeySet // as they came with the bundle; DocKeyring has the newest. Nil: none
	SealTo      *SealKey   // central's; every result is sealed to it

	ListSecrets []byte // as they came with the bundle, sealed; ListSecretRing has the newest
	Root        []byte // first root of the update repository, as it came with the bundle; empty: none

	seal    *ecdh.PrivateKey // opens what central seals to the kiosk; nil: it cannot be used here
	sealPub *ecdh.PublicKey
	ca      *x509.Certificate
	dir     string // where it was read from; a list of revoked certificates may lie there
}

// TLS gives the client configuration towards the broker called serverName:
// TLS 1.3, central's CA alone, no revoked certificate, the kiosk's own.
func (id *Identity) TLS(serverName string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: id.CA, ServerName: serverName,
		Certificates: []tls.Certificate{id.Certificate}, VerifyConnection: id.notRevoked}
}

// NotAfter says when the kiosk's certificate ends; zero when there is none.
func (id *Identity) NotAfter() time.Time {
	if id.Certificate.Leaf == nil {
		return time.Time{}
	}
	return id.Certificate.Leaf.NotAfter
}

// ClientID makes the MQTT client id for one connection of a kiosk: its name,
// a colon and 128 random bits. Whoever takes another's client id throws it
// off the broker; nobody can take what nobody can guess, and the embedded
// broker refuses an id that does not begin with the name in the certificate.
func ClientID(kiosk string) string {
	var r [16]byte
	_, _ = rand.Read(r[:]) // crypto/rand.Read never fails
	return kiosk + ":" + hex.EncodeToString(r[:])
}

// KioskKeys are the private keys of one kiosk, made on the kiosk.
type KioskKeys struct {
	Name    string
	TLS     *ecdsa.PrivateKey  // P-256, for the client certificate
	Signing ed25519.PrivateKey // signs batches of results
	Seal    *ecdh.PrivateKey   // X25519, opens what central seals to the kiosk; nil where it is kept elsewhere
	SealPub *ecdh.PublicKey    // its public half
}

// NewKioskKeys makes fresh keys.
func NewKioskKeys(name string) (*KioskKeys, error) {
	if err := CheckKioskName(name); err != nil {
		return nil, err
	}
	tlsKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make TLS key of kiosk %s: %w", name, err)
	}
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key of kiosk %s: %w", name, err)
	}
	seal, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make seal key of kiosk %s: %w", name, err)
	}
	return &KioskKeys{Name: name, TLS: tlsKey, Signing: signing, Seal: seal, SealPub: seal.PublicKey()}, nil
}

// Request gives the enrolment request for these keys.
func (k *KioskKeys) Request(at time.Time) (*Request, error) { return makeRequest(k, at) }

// NewIdentity joins a kiosk's keys with central's bundle and checks that they
// belong together.
func NewIdentity(k *KioskKeys, b *Bundle) (*Identity, error) {
	if b.Kiosk != k.Name {
		return nil, fmt.Errorf("the bundle is for kiosk %s, the keys are of kiosk %s: install the bundle of this kiosk", b.Kiosk, k.Name)
	}
	leaf, err := parseCertificate(b.Certificate)
	if err != nil {
		return nil, fmt.Errorf("bundle for kiosk %s: certificate: %w", k.Name, err)
	}
	ca, err := parseCertificate(b.CA)
	if err != nil {
		return nil, fmt.Errorf("bundle for kiosk %s: CA: %w", k.Name, err)
	}
	pub, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !pub.Equal(k.TLS.Public()) {
		return nil, fmt.Errorf("bundle for kiosk %s: its certificate is for another key; make a new request on this kiosk and enrol that", k.Name)
	}
	if err := leaf.CheckSignatureFrom(ca); err != nil || leaf.Subject.CommonName != k.Name {
		return nil, fmt.Errorf("bundle for kiosk %s: its certificate does not come from the CA beside it", k.Name)
	}
	docs, err := openBundled(k, b)
	if err != nil {
		return nil, fmt.Errorf("bundle for kiosk %s: %w", k.Name, err)
	}
	sealTo, err := ParseSealKey(b.SealingKey)
	if err != nil {
		return nil, fmt.Errorf("bundle for kiosk %s: %w", k.Name, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	id := &Identity{Name: k.Name, CA: pool, Broker: b.Broker, Signing: k.Signing,
		AckKey: bytes.Clone(b.AckKey), DocKeys: docs, SealTo: sealTo, seal: k.Seal, sealPub: k.SealPub, ca: ca,
		ListSecrets: bytes.Clone(b.ListSecrets), Root: bytes.Clone(b.Root),
		Certificate: tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: k.TLS, Leaf: leaf}}
	for _, lk := range b.ListKeys {
		id.ListKeys = append(id.ListKeys, bytes.Clone(lk))
	}
	return id, nil
}

// openBundled opens what is sealed in a bundle, where the kiosk's key is at
// hand; else whoever has it does so later.
func openBundled(k *KioskKeys, b *Bundle) (*DocKeySet, error) {
	if k.Seal == nil {
		return nil, nil
	}
	if len(b.ListSecrets) > 0 {
		secrets, err := openListSecrets(k.Name, k.Seal, b.ListSecrets)
		if err != nil {
			return nil, err
		}
		secrets.Wipe()
	}
	if b.V == bundleOneKey {
		return nil, nil
	}
	return openDocKeys(k.Name, k.Seal, b.DocKeys)
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
