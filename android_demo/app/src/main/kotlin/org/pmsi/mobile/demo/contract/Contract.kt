package org.pmsi.mobile.demo.contract

import org.json.JSONException
import org.json.JSONObject

/** The newest contract that this app reads. */
const val SCHEMA_VERSION = 1

/** Order of the input's axes: pixels one after the other, or colour planes. */
enum class Layout { NHWC, NCHW }

/** What the input's numbers are: always 0..255, as they are in the photo. */
enum class Dtype { FLOAT32, UINT8 }

/** Which network it is. [stages], [heads] and [width] are null for a baseline. */
data class Network(
    val method: String,
    val backbone: String,
    val stages: Int?,
    val heads: String?,
    val width: Int?,
    val head: String?
)

/** The file against the training network on the same images; shares are in 0..1. */
data class Agreement(
    val images: Int,
    val maxAbsDifference: Double,
    val top1Agreement: Double,
    val sqnrDb: Double?,
    val top1: Double?
)

/** What pmsi-export found when it compared the file: [status] is `passed`, `failed` or `not measured`. */
data class Parity(
    val status: String,
    val gate: String,
    val reason: String?,
    val golden: Agreement?,
    val photos: Agreement?
)

/**
 * What a model file says about itself: the artifact contract of pmsi-export.
 *
 * A photo is stretched to [resize] x [resize] pixels, and the [crop] x [crop] pixels in its middle are the input.
 * [classes] are in the order of the output. [topK]: the file gives only so many of the largest probabilities.
 * [valTop1]: the network's accuracy on its validation photos, in 0..1. [created]: ISO 8601, UTC.
 */
data class Contract(
    val format: String,
    val precision: String,
    val minimumRuntime: String,
    val network: Network,
    val layout: Layout,
    val dtype: Dtype,
    val resize: Int,
    val crop: Int,
    val classes: List<String>,
    val topK: Int?,
    val mix: String?,
    val checkpointSha256: String,
    val contentSha256: String,
    val parity: Parity,
    val resizes: Map<String, Double>,
    val valTop1: Double?,
    val tools: Map<String, String>,
    val created: String
) {
    companion object {
        /** Reads the JSON of the file called [name]. Throws [ModelProblem]. */
        fun parse(json: String, name: String): Contract = try {
            val root = JSONObject(json)
            val version = root.getInt("schema_version")
            if (version > SCHEMA_VERSION) {
                throw ModelProblem(
                    "$name was written by a newer pmsi-export (contract version $version, this app reads up to " +
                        "$SCHEMA_VERSION). Update the app."
                )
            }
            contract(root)
        } catch (error: JSONException) {
            throw unreadable(name, error)
        } catch (error: IllegalArgumentException) {
            throw unreadable(name, error)
        }
    }
}

private fun unreadable(name: String, error: Exception) =
    ModelProblem("$name has a contract that cannot be read (${error.message}). Export it again.", error)

private fun contract(root: JSONObject): Contract {
    val input = root.getJSONObject("input")
    val preprocessing = root.getJSONObject("preprocessing")
    val network = network(root.getJSONObject("model"))
    val contract =
        Contract(
            format = root.getString("format"),
            precision = root.getString("precision"),
            minimumRuntime = root.getString("minimum_runtime"),
            network = network,
            layout = Layout.valueOf(input.getString("layout")),
            dtype = Dtype.valueOf(input.getString("dtype").uppercase()),
            resize = preprocessing.getInt("resize"),
            crop = preprocessing.getInt("crop"),
            classes = root.getJSONArray("classes").run { List(length(), ::getString) },
            topK = root.getJSONObject("output").intOrNull("top_k"),
            mix = root.stringOrNull("mix"),
            checkpointSha256 = root.getString("checkpoint_sha256"),
            contentSha256 = root.getString("content_sha256"),
            parity = parity(root.getJSONObject("parity")),
            resizes =
            root.objectOrNull("resizes")?.run { (keys().asSequence() - "photos").associateWith(::getDouble) }
                ?: emptyMap(),
            valTop1 = valTop1(root.getJSONObject("metrics"), network.head ?: "mix"),
            tools = root.getJSONObject("tools").run { keys().asSequence().associateWith(::getString) },
            created = root.getString("created")
        )
    require(contract.classes.isNotEmpty()) { "no classes" }
    require(contract.crop in 1..contract.resize) { "crop ${contract.crop} of resize ${contract.resize}" }
    return contract
}

private fun network(model: JSONObject) = Network(
    method = model.getString("method"),
    backbone = model.getString("backbone"),
    stages = model.intOrNull("stages"),
    heads = model.stringOrNull("heads"),
    width = model.intOrNull("width"),
    head = model.stringOrNull("head")
)

private fun parity(parity: JSONObject) = Parity(
    status = parity.getString("status"),
    gate = parity.getString("gate"),
    reason = parity.stringOrNull("reason"),
    golden = parity.objectOrNull("golden")?.let(::agreement),
    photos = parity.objectOrNull("photos")?.let(::agreement)
)

private fun agreement(agreement: JSONObject) = Agreement(
    images = agreement.getInt("images"),
    maxAbsDifference = agreement.getDouble("max_abs_difference"),
    top1Agreement = agreement.getDouble("top1_agreement"),
    sqnrDb = agreement.doubleOrNull("sqnr_db"),
    top1 = agreement.doubleOrNull("top1")
)

private fun valTop1(metrics: JSONObject, head: String): Double? = metrics
    .optJSONObject("val")
    ?.optJSONObject("heads")
    ?.optJSONObject(head)
    ?.doubleOrNull("top1")

private fun JSONObject.stringOrNull(key: String): String? = if (isNull(key)) null else getString(key)

private fun JSONObject.intOrNull(key: String): Int? = if (isNull(key)) null else getInt(key)

private fun JSONObject.doubleOrNull(key: String): Double? = if (isNull(key)) null else getDouble(key)

private fun JSONObject.objectOrNull(key: String): JSONObject? = if (isNull(key)) null else getJSONObject(key)
