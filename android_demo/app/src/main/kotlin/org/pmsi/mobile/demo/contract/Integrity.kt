package org.pmsi.mobile.demo.contract

import org.json.JSONObject

private const val FIELD = "contract_sha256"
private val DIGEST = Regex("\"$FIELD\": ?\"([0-9a-f]{64})\"")

/** What a contract says about its own text. */
internal enum class Integrity {
    /** It was written before contracts had a digest of themselves. */
    UNPROTECTED,
    INTACT,
    CHANGED
}

/** Holds [json], parsed as [root], against the digest in it: the SHA-256 of this text with the digest left empty. */
internal fun integrity(json: String, root: JSONObject): Integrity {
    val digests = DIGEST.findAll(json).toList()
    val digest = digests.singleOrNull()?.groups?.get(1)
    return when {
        digest != null && sha256(json.removeRange(digest.range).encodeToByteArray()) == digest.value -> Integrity.INTACT
        digests.isEmpty() && root.opt(FIELD) in setOf(null, JSONObject.NULL, "") -> Integrity.UNPROTECTED
        else -> Integrity.CHANGED
    }
}
