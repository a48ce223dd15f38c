package mac

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of NIST SP 800-38B appendix D (D.1 to D.3).
func TestAESCMAC(t *testing.T) {
	const msg = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
	for _, c := range []struct {
		key string
		n   int
		mac string
	}{
		{"2b7e151628aed2a6abf7158809cf4f3c", 0, "bb1d6929e95937287fa37d129b756746"},
		{"2b7e151628aed2a6abf7158809cf4f3c", 16, "070a16b46b4d4144f79bdd9dd04a287c"},
		{"2b7e151628aed2a6abf7158809cf4f3c", 40, "dfa66747de9ae63030ca32611497c827"},
		{"2b7e151628aed2a6abf7158809cf4f3c", 64, "51f0bebf7e3b9d92fc49741779363cfe"},
		{"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 0, "d17ddf46adaacde531cac483de7a9367"},
		{"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 40, "8a1de5be2eb31aad089a82e6ee908b0e"},
		{"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 0, "028962f61b7bf89efc6b551f4667d983"},
		{"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 64, "e1992190549f6ed5696a2c056c315410"},
	} {
		got := AESCMAC(unhex(t, c.key), unhex(t, msg)[:c.n])
		if !bytes.Equal(got, unhex(t, c.mac)) {
			t.Errorf("key of %d bytes, message of %d: %x, want %s", len(c.key)/2, c.n, got, c.mac)
		}
	}
	if AESCMAC(make([]byte, 5), nil) != nil {
		t.Error("a key of five bytes gave a MAC")
	}
}

// ICAO 9303-11 appendix D.3: MIFD and MIC of the worked basic access control,
// and the MAC of the first protected command of appendix D.4.
func TestRetailMAC(t *testing.T) {
	for _, c := range []struct{ key, msg, mac string }{
		{"7962D9ECE03D1ACD4C76089DCE131543", "72C29C2371CC9BDB65B779B8E8D37B29ECC154AA56A8799FAE2F498F76ED92F28000000000000000", "5F1448EEA8AD90A7"},
		{"7962D9ECE03D1ACD4C76089DCE131543", "46B9342A41396CD7386BF5803104D7CEDC122B9132139BAF2EEDC94EE178534F8000000000000000", "2F2D235D074D7449"},
		{"F1CB1F1FB5ADF208806B89DC579DC1F8", "887022120C06C2270CA4020C800000008709016375432908C044F68000000000", "BF8B92D635FF24F8"},
	} {
		got := RetailMAC(unhex(t, c.key), unhex(t, c.msg))
		if !bytes.Equal(got, unhex(t, c.mac)) {
			t.Errorf("%s: %X, want %s", c.msg, got, c.mac)
		}
	}
	if RetailMAC(make([]byte, 16), make([]byte, 9)) != nil || RetailMAC(make([]byte, 8), make([]byte, 8)) != nil {
		t.Error("an unpadded message or a short key gave a MAC")
	}
}
