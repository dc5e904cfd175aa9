package org.pmsi.mobile.demo.contract

import org.json.JSONException
import org.json.JSONObject
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence

/** The newest contract that this app reads. */
const val SCHEMA_VERSION = 1

/** Share of right answers that is promised where one is called sure. */
private const val SURE = 0.95

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
 * From where on a photo shows none of the classes: when its unknown score is above [threshold], which keeps the share
 * [kept] of photos of the classes.
 */
data class Unknown(val kept: Double, val threshold: Double)

/**
 * What a model file says about itself: the artifact contract of pmsi-export.
 *
 * A photo is stretched to [resize] x [resize] pixels, and the [crop] x [crop] pixels in its middle are the input.
 * [classes] are in the order of the output. [topK]: the file gives only so many of the largest probabilities.
 * [givesUnknownScore]: a second output says how little the photo is like any class; [unknown]: from where on it is
 * none, null where nobody measured it. [valTop1]: the network's accuracy on its validation photos, in 0..1. [created]:
 * ISO 8601, UTC. [isProtected]: a digest says that it has not changed since it was written. [sureFrom]: the first
 * probability from which on 95 % of the answers are promised to be right; null where nothing is promised.
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
    val givesUnknownScore: Boolean,
    val mix: String?,
    val checkpointSha256: String,
    val contentSha256: String,
    val parity: Parity,
    val resizes: Map<String, Double>,
    val valTop1: Double?,
    val tools: Map<String, String>,
    val created: String,
    val sureFrom: Double?,
    val unknown: Unknown?,
    val isProtected: Boolean
) {
    /** Whether a photo with this unknown score shows none of the classes; null: nothing is known of that. */
    fun isNone(unknownScore: Float?): Boolean =
        unknown != null && unknownScore != null && unknownScore > unknown.threshold

    companion object {
        /**
         * Reads the JSON of the file called [name]; [sealed]: the file protects it. Throws [ModelProblem], also for one
         * that has changed since it was written, or contradicts itself or its file.
         */
        fun parse(json: String, name: String, sealed: Boolean): Contract = try {
            val root = JSONObject(json)
            val version = root.integer("schema_version")
            if (version > SCHEMA_VERSION) {
                throw ModelProblem(Sentence(R.string.contract_newer, name, version, SCHEMA_VERSION))
            }
            val integrity = integrity(json, root)
            if (integrity == Integrity.CHANGED) throw ModelProblem(Sentence(R.string.model_changed, name))
            val contract = contract(root, sealed || integrity == Integrity.INTACT)
            val shapes = listOf("input", "output").map { root.getJSONObject(it).integers("shape") }
            contradiction(contract, name, shapes[0], shapes[1])?.let {
                throw ModelProblem(Sentence(R.string.contract_contradicts, name, it))
            }
            contract
        } catch (error: JSONException) {
            throw unreadable(name, error.message.orEmpty(), error)
        } catch (error: IllegalArgumentException) {
            throw unreadable(name, error.message.orEmpty(), error)
        } catch (error: StackOverflowError) {
            throw unreadable(name, Sentence(R.string.contract_nested), error)
        }
    }
}

private fun unreadable(name: String, reason: Any, error: Throwable) =
    ModelProblem(Sentence(R.string.contract_unreadable, name, reason), error)

private fun contract(root: JSONObject, isProtected: Boolean): Contract {
    val input = root.getJSONObject("input")
    val preprocessing = root.getJSONObject("preprocessing")
    val network = network(root.getJSONObject("model"))
    return Contract(
        format = root.text("format"),
        precision = root.text("precision"),
        minimumRuntime = root.text("minimum_runtime"),
        network = network,
        layout = Layout.valueOf(input.text("layout")),
        dtype = Dtype.valueOf(input.text("dtype").uppercase()),
        resize = preprocessing.integer("resize"),
        crop = preprocessing.integer("crop"),
        classes = root.texts("classes"),
        topK = root.getJSONObject("output").integerOrNull("top_k"),
        givesUnknownScore = root.getJSONObject("output").textOrNull("unknown_score") != null,
        mix = root.textOrNull("mix"),
        checkpointSha256 = root.text("checkpoint_sha256"),
        contentSha256 = root.text("content_sha256"),
        parity = parity(root.getJSONObject("parity")),
        resizes = root.objectOrNull("resizes")?.run { (keys().asSequence() - "photos").associateWith(::number) }
            ?: emptyMap(),
        valTop1 = valTop1(root.getJSONObject("metrics"), network.head ?: "mix"),
        tools = root.getJSONObject("tools").run { keys().asSequence().associateWith(::text) },
        created = root.text("created"),
        sureFrom = root.objectOrNull("confidence")?.let(::sureFrom),
        unknown = root.objectOrNull("confidence")?.objectOrNull("unknown")?.let(::unknown),
        isProtected = isProtected
    )
}

private fun network(model: JSONObject) = Network(
    method = model.text("method"),
    backbone = model.text("backbone"),
    stages = model.integerOrNull("stages"),
    heads = model.textOrNull("heads"),
    width = model.integerOrNull("width"),
    head = model.textOrNull("head")
)

private fun parity(parity: JSONObject) = Parity(
    status = parity.text("status"),
    gate = parity.text("gate"),
    reason = parity.textOrNull("reason"),
    golden = parity.objectOrNull("golden")?.let(::agreement),
    photos = parity.objectOrNull("photos")?.let(::agreement)
)

private fun agreement(agreement: JSONObject) = Agreement(
    images = agreement.integer("images"),
    maxAbsDifference = agreement.number("max_abs_difference"),
    top1Agreement = agreement.number("top1_agreement"),
    sqnrDb = agreement.numberOrNull("sqnr_db"),
    top1 = agreement.numberOrNull("top1")
)

private fun sureFrom(confidence: JSONObject): Double? {
    val answers = confidence.getJSONArray("answers")
    return (0 until answers.length())
        .map(answers::getJSONObject)
        .firstOrNull { it.number("right") == SURE }
        ?.number("threshold")
}

private fun unknown(unknown: JSONObject) =
    Unknown(kept = unknown.number("kept"), threshold = unknown.number("threshold"))

private fun valTop1(metrics: JSONObject, head: String): Double? = metrics
    .optJSONObject("val")
    ?.optJSONObject("heads")
    ?.optJSONObject(head)
    ?.numberOrNull("top1")
