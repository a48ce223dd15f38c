package chip

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/internal/ec"
	"gateagent/internal/modp"
)

// vector is one worked example of ICAO Doc 9303 (8th edition), with the
// values as printed.
type vector struct {
	Name    string            `json:"name"`
	Source  string            `json:"source"`
	Kind    string            `json:"kind"`
	Inputs  map[string]string `json:"inputs"`
	Steps   map[string]string `json:"steps"`
	Outputs map[string]string `json:"outputs"`
}

// TestVectors runs every worked example in testdata/icao9303-11.json.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/icao9303-11.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]func(*testing.T, vector){
		"kdf-3des":                  testKDF,
		"bac-key":                   testBACKey,
		"bac-mutual-authentication": testBAC,
		"sm-3des":                   testSM,
		"pace-password-key":         testPasswordKey,
		"pace-gm-ecdh":              testPACE,
		"pace-gm-dh":                testPACE,
		"pace-im-dh":                testIntegrated,
		"pace-im-constants":         testMapConstants,
		"dh-domain-parameters":      testGroup,
		"pace-cam-ecdh":             testPACE,
		"pace-im-ecdh":              testIntegrated,
		"asn1-ec-domain-parameters": testExplicitCurve,
		"ec-domain-parameters":      testCurve,
		"apdu-offset-do":            testOffset,
		"aa-rsa-iso9796-2":          testAACommand,
	}
	seen := map[string]bool{}
	for _, v := range all {
		run := kinds[v.Kind]
		if run == nil {
			t.Errorf("%s: no test for kind %s", v.Name, v.Kind)
			continue
		}
		seen[v.Kind] = true
		t.Run(v.Name, func(t *testing.T) { run(t, v) })
	}
	for k := range kinds {
		if !seen[k] {
			t.Errorf("no example of kind %s", k)
		}
	}
}

func testKDF(t *testing.T, v vector) {
	counter := new(big.Int).SetBytes(unhex(t, v.Inputs["counter"]))
	wantBytes(t, "key", suite3DES.derive(unhex(t, v.Inputs["k_seed"]), uint32(counter.Uint64())), v.Outputs["key"])
}

// The keys of BAC are those of a session whose secret is the seed.
func testBACKey(t *testing.T, v vector) {
	seed := unhex(t, v.Steps["k_seed"])
	wantBytes(t, "K.Enc", suite3DES.derive(seed, deriveEnc), v.Outputs["k_enc"])
	wantBytes(t, "K.MAC", suite3DES.derive(seed, deriveMAC), v.Outputs["k_mac"])
}

func testBAC(t *testing.T, v vector) {
	random := append(unhex(t, v.Inputs["rnd_ifd"]), unhex(t, v.Inputs["k_ifd"])...)
	s := New(newPlayback(t,
		v.Steps["get_challenge_command"]+">"+v.Steps["get_challenge_response"],
		v.Steps["external_authenticate_command"]+">"+v.Steps["external_authenticate_response"],
	), Options{Rand: bytes.NewReader(random)})
	if err := s.runBAC(context.Background(), []byte("L898902C<369080619406236")); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "KS.Enc", s.sm.encKey, v.Outputs["ks_enc"])
	wantBytes(t, "KS.MAC", s.sm.macKey, v.Outputs["ks_mac"])
	wantBytes(t, "SSC", s.sm.ssc, v.Outputs["ssc"])
}

func testSM(t *testing.T, v vector) {
	m := &secure{suite: suite3DES, encKey: unhex(t, v.Inputs["ks_enc"]), macKey: unhex(t, v.Inputs["ks_mac"]), ssc: unhex(t, v.Inputs["ssc_before"])}
	m.enc = suite3DES.block(m.encKey)
	apdu := unhex(t, v.Inputs["command_apdu"])
	c := command{cla: apdu[0], ins: apdu[1], p1: apdu[2], p2: apdu[3]}
	if len(apdu) == 5 {
		c.ne = int(apdu[4])
	} else {
		c.data = apdu[5:]
	}
	wantBytes(t, "protected command", m.wrap(c), v.Steps["protected_apdu"])
	answer := unhex(t, v.Steps["rapdu"])
	got, err := m.unwrap(response{data: answer[:len(answer)-2], sw: 0x9000})
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "data", got.data, v.Outputs["decrypted_data"])
	wantBytes(t, "status", []byte{byte(got.sw >> 8), byte(got.sw)}, v.Outputs["status_word"])
	wantBytes(t, "SSC", m.ssc, v.Outputs["ssc_after"])
}

func testPasswordKey(t *testing.T, v vector) {
	info := v.Inputs["document_number_text"] + v.Inputs["date_of_birth_text"] + v.Inputs["date_of_expiry_text"]
	pw := choosePassword(gate.AccessKey{MRZInfo: []byte(info)})
	wantBytes(t, "K", pw.secret, v.Steps["k"])
	wantBytes(t, "K.π", suiteAES128.derive(pw.secret, derivePassword), v.Outputs["k_pi"])
}

// testPACE holds the whole conversation against the printed bytes.
func testPACE(t *testing.T, v vector) {
	infos := ber.Make(ber.Set, unhex(t, v.Inputs["pace_info"]))
	choice, offered, err := choosePACE(infos)
	if err != nil || !offered || choice == nil {
		t.Fatalf("%v %v %v", choice, offered, err)
	}
	if !choice.domain.same(vectorDomain(t, v)) {
		t.Errorf("%s", choice.domain.name())
	}
	random := append(unhex(t, v.Inputs["terminal_map_private"]), unhex(t, v.Inputs["terminal_private"])...)
	var lines []string
	for _, step := range []string{"mse_set_at", "get_nonce", "map_nonce", "key_agreement", "mutual_authentication"} {
		answer := v.Steps[step+"_response"]
		if !strings.HasSuffix(answer, "9000") { // one is printed without its status word
			answer += "9000"
		}
		lines = append(lines, v.Steps[step+"_command"]+">"+answer)
	}
	s := New(newPlayback(t, lines...), Options{Rand: bytes.NewReader(random)})
	info := map[string]string{
		"89DED1B26624EC1E634C1989302849DD": "T22000129364081251010318",
		"4E6F6FBF7BE748B932C7B74161BBA9DF": "C11T002JM496081222310314",
	}[v.Inputs["k_pi"]]
	if err := s.runPACE(context.Background(), choice, choosePassword(gate.AccessKey{MRZInfo: []byte(info)})); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "KS.Enc", s.sm.encKey, v.Outputs["ks_enc"])
	wantBytes(t, "KS.MAC", s.sm.macKey, v.Outputs["ks_mac"])
	wantBytes(t, "SSC", s.sm.ssc, "00000000000000000000000000000000")

	if key := v.Inputs["chip_authentication_public_key_info"]; key != "" {
		infos := ber.Make(ber.Set, unhex(t, key))
		c, err := chooseCA(ber.Make(0x6E, infos))
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, "chip authentication key", c.key, "04"+v.Inputs["ca_public"])
		wantBytes(t, "chip authentication data", s.cam.data, v.Outputs["chip_authentication_data"])
		if detail, err := s.ProveMapping(context.Background(), infos); err != nil || detail != "PACE-ECDH-CAM-AES-CBC-CMAC-128 brainpoolP256r1" {
			t.Errorf("%q %v", detail, err)
		}
	}
}

// vectorDomain is what an example computes in.
func vectorDomain(t *testing.T, v vector) domain {
	if v.Inputs["p"] == "" {
		c, _ := ec.ByName(v.Inputs["curve_text"])
		return domain{curve: c}
	}
	num := func(name string) *big.Int { return new(big.Int).SetBytes(unhex(t, v.Inputs[name])) }
	g, _ := modp.ByParameters(num("p"), num("g"), num("q"))
	return domain{group: g}
}

func testGroup(t *testing.T, v vector) {
	g, _ := modp.ByID(0)
	for what, got := range map[string]*big.Int{"p": g.P, "g": g.G, "q": g.Q} {
		wantBytes(t, what, got.Bytes(), v.Outputs[what])
	}
}

func testMapConstants(t *testing.T, v vector) {
	c := mapConstants(map[int]suite{32: suiteAES128, 64: suiteAES256}[len(v.Outputs["c0"])])
	wantBytes(t, "c0", c[0], v.Outputs["c0"])
	wantBytes(t, "c1", c[1], v.Outputs["c1"])
}

// testIntegrated holds the steps against the printed values. The commands are
// not printed; they follow from the data objects.
func testIntegrated(t *testing.T, v vector) {
	d, oid, prefix := vectorDomain(t, v), "04007F00070202040402", "04"
	private := unhex(t, v.Inputs["terminal_private"])
	if d.group != nil { // the printed exponent is as long as p; we draw below q
		oid, prefix = "04007F00070202040302", ""
		private = new(big.Int).Mod(new(big.Int).SetBytes(private), d.group.Q).FillBytes(make([]byte, 20))
	}
	choice := &paceChoice{oid: unhex(t, oid), mapping: mapIM, suite: suiteAES128, domain: d}
	line := func(cla string, tag byte, in string, answer byte, out string) string {
		data := ber.Make(0x7C, ber.Make(uint32(tag), unhex(t, in)))
		back := ber.Make(0x7C, ber.Make(uint32(answer), unhex(t, out)))
		return fmt.Sprintf("%s860000%02X%X00>%X9000", cla, len(data), data, back)
	}
	s := New(newPlayback(t,
		line("10", 0x81, v.Inputs["nonce_t"], 0x82, ""),
		line("10", 0x83, prefix+v.Steps["terminal_public"], 0x84, prefix+v.Steps["chip_public"]),
		line("00", 0x85, v.Outputs["t_ifd"], 0x86, v.Outputs["t_ic"]),
	), Options{Rand: bytes.NewReader(append(unhex(t, v.Inputs["nonce_t"]), private...))})

	key := choice.suite.block(unhex(t, v.Inputs["k_pi"]))
	nonce := make([]byte, 16)
	cipher.NewCBCDecrypter(key, make([]byte, 16)).CryptBlocks(nonce, unhex(t, v.Steps["nonce_z"]))
	wantBytes(t, "nonce", nonce, v.Inputs["nonce_s"])
	rp := choice.suite.pseudoRandom(nonce, unhex(t, v.Inputs["nonce_t"]), d.prime())
	wantBytes(t, "Rp", rp.FillBytes(make([]byte, (d.prime().BitLen()+7)/8)), v.Steps["r_p"])

	run := paceRun{s, choice, context.Background(), nil}
	mapped, err := run.mapNonce(nonce)
	if err != nil {
		t.Fatal(err)
	}
	if d.group != nil {
		wantBytes(t, "generator", mapped.group.Marshal(mapped.group.G), v.Steps["mapped_generator"])
	} else {
		wantBytes(t, "generator", mapped.curve.Marshal(mapped.curve.G), "04"+v.Steps["mapped_generator"])
	}
	secret, own, other, err := run.agree(mapped)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "secret", secret, v.Steps["shared_secret"])
	if err := run.authenticate(secret, own, other); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "KS.Enc", s.sm.encKey, v.Outputs["ks_enc"])
	wantBytes(t, "KS.MAC", s.sm.macKey, v.Outputs["ks_mac"])
}

// TestEncodePoint: every element but 0 and ±1 maps to the curve, on every
// curve that can, by both branches.
func TestEncodePoint(t *testing.T) {
	for id := 8; id <= 18; id++ {
		c, _ := ec.ByID(id)
		if can := canIntegrate(domain{curve: c}); can != (id != 10) {
			t.Errorf("%s: %v", c.Name, can)
		} else if !can {
			continue
		}
		for i := int64(0); i < 20; i++ {
			if c.OnCurve(encodePoint(c, big.NewInt(i))) != (i > 1) {
				t.Errorf("%s: %d", c.Name, i)
			}
		}
	}
	for u := suite3DES; u <= suiteAES256; u++ {
		s, p := make([]byte, len(mapConstants(u)[0])), new(big.Int).Lsh(big.NewInt(1), 521)
		if n := u.pseudoRandom(s, make([]byte, u.keySize()), p); n.BitLen() < 480 {
			t.Errorf("%s: %d bits", u, n.BitLen())
		}
	}
}

func testExplicitCurve(t *testing.T, v vector) {
	algorithm, err := ber.Expect(unhex(t, v.Outputs["domain_parameters"]), ber.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDomain(algorithm, true)
	if err != nil || d.curve == nil || d.curve.Name != v.Inputs["curve_text"] {
		t.Fatalf("%v, %v", d, err)
	}
}

func testCurve(t *testing.T, v vector) {
	c, ok := ec.ByName(v.Inputs["curve_text"])
	if !ok {
		t.Fatal("no such curve")
	}
	for what, got := range map[string]*big.Int{"p": c.P, "a": c.A, "b": c.B, "g_x": c.G.X, "g_y": c.G.Y, "n": c.N, "f": big.NewInt(int64(c.H))} {
		wantBytes(t, what, got.Bytes(), v.Outputs[what])
	}
}

func testOffset(t *testing.T, v vector) {
	offset := new(big.Int).SetBytes(unhex(t, v.Inputs["offset"]))
	wantBytes(t, "data object", offsetObject(int(offset.Int64())), v.Outputs["offset_do"])
}

func testAACommand(t *testing.T, v vector) {
	c := command{ins: insInternalAuth, data: unhex(t, v.Inputs["rnd_ifd"]), ne: maxShortNe}
	wantBytes(t, "command", c.encode(false), v.Steps["internal_authenticate_command"])
}
