package gate

// Codes of document judgement (1300..1999).
const (
	CodeSODMalformed      Code = 1301
	CodeSODDigest         Code = 1302
	CodeSODSignature      Code = 1303
	CodeSODAlgorithm      Code = 1304
	CodeSODNoSigner       Code = 1305
	CodeNoCSCA            Code = 1401
	CodeDSSignature       Code = 1402
	CodeDSAlgorithm       Code = 1403
	CodeDSExpired         Code = 1404
	CodeCSCAExpired       Code = 1405
	CodeClockUntrusted    Code = 1406
	CodeDSRevoked         Code = 1407
	CodeNoCRL             Code = 1408
	CodeCRLStale          Code = 1409
	CodeDSDistrusted      Code = 1410
	CodeDSUsage           Code = 1411
	CodeDefect            Code = 1412
	CodeDGHash            Code = 1501
	CodeDGHashAlgorithm   Code = 1502
	CodeDGContent         Code = 1503
	CodeDGNotListed       Code = 1504
	CodeDGWithheld        Code = 1505
	CodeDGNeeded          Code = 1506
	CodeCOMMismatch       Code = 1507
	CodeIssuerMismatch    Code = 1601
	CodeIssuerUnknown     Code = 1602
	CodeExpired           Code = 1603
	CodeExpiryUnknown     Code = 1604
	CodeMRZDigit          Code = 1701
	CodeMRZMismatch       Code = 1702
	CodeMRZOptional       Code = 1703
	CodeMRZNotPresented   Code = 1704
	CodeMRZNothingToMatch Code = 1705
)

var documentCodes = []CodeInfo{
	{CodeSODMalformed, "sod_malformed", "the security object is empty or malformed", "treat the document as forged"},
	{CodeSODDigest, "sod_digest", "the security object's signed digest does not fit its content", "treat the document as forged"},
	{CodeSODSignature, "sod_signature", "the security object's signature is wrong", "treat the document as forged"},
	{CodeSODAlgorithm, "sod_algorithm", "the security object uses an algorithm that we do not support", "inspect by hand"},
	{CodeSODNoSigner, "sod_no_signer", "the security object names a signer whose certificate is not at hand", "inspect by hand"},
	{CodeNoCSCA, "no_csca", "no trusted country certificate (CSCA) is known for the document signer", "import the country's CSCA into the trust folder"},
	{CodeDSSignature, "ds_signature", "the document signer is not signed by the country certificate it names", "treat the document as forged"},
	{CodeDSAlgorithm, "ds_algorithm", "the document signer's certificate uses an algorithm that we do not support", "inspect by hand"},
	{CodeDSExpired, "ds_expired", "the document signer's certificate is not valid now", "inspect by hand"},
	{CodeCSCAExpired, "csca_expired", "the country certificate is not valid now", "import the current CSCA"},
	{CodeClockUntrusted, "clock_untrusted", "the kiosk's clock is not trusted", "restore time synchronisation"},
	{CodeDSRevoked, "ds_revoked", "the document signer is revoked", "treat the document as forged"},
	{CodeNoCRL, "no_crl", "no proven revocation list is at hand for the issuer", "import the issuer's CRL"},
	{CodeCRLStale, "crl_stale", "the newest revocation list is past its next update", "import a current CRL"},
	{CodeDSDistrusted, "ds_distrusted", "a defect list marks the issuer or signer", "inspect by hand"},
	{CodeDSUsage, "ds_usage", "the certificate may not sign documents", "treat the document as forged"},
	{CodeDefect, "known_defect", "a defect list says that the issuing state made these documents with this fault", "inspect by hand"},
	{CodeDGHash, "dg_hash", "the data group was altered: its hash does not fit the security object", "treat the document as forged"},
	{CodeDGHashAlgorithm, "dg_hash_algorithm", "the security object's hash algorithm is unknown", "inspect by hand"},
	{CodeDGContent, "dg_content", "the data group is genuine but its content does not conform", "inspect by hand"},
	{CodeDGNotListed, "dg_not_listed", "the chip serves a data group that the security object does not list", "treat the document as forged"},
	{CodeDGWithheld, "dg_withheld", "the security object lists a data group that the chip withholds", "treat the chip as cloned"},
	{CodeDGNeeded, "dg_needed", "a data group that the verdict needs was not proven", "see the failing check"},
	{CodeCOMMismatch, "com_mismatch", "EF.COM lists other data groups than the security object", "inspect by hand"},
	{CodeIssuerMismatch, "issuer_mismatch", "the document names another state than its signer", "treat the document as forged"},
	{CodeIssuerUnknown, "issuer_unknown", "the issuing state cannot be compared with the signer", "inspect by hand"},
	{CodeExpired, "expired", "the document has expired", "the traveller needs a valid document"},
	{CodeExpiryUnknown, "expiry_unknown", "the document's expiry is not known", "inspect by hand"},
	{CodeMRZDigit, "mrz_digit", "a check digit of the scanned lines is wrong", "scan again"},
	{CodeMRZMismatch, "mrz_mismatch", "what was scanned is not what the chip says", "scan again; if it recurs, treat the document as manipulated"},
	{CodeMRZOptional, "mrz_optional", "only the optional data of scan and chip differ", "inspect by hand"},
	{CodeMRZNotPresented, "mrz_not_presented", "no machine readable zone was scanned", ""},
	{CodeMRZNothingToMatch, "mrz_nothing_to_match", "only a card access number was presented", ""},
}
