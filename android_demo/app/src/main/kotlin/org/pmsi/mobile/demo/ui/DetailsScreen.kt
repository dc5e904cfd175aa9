package org.pmsi.mobile.demo.ui

import android.app.Activity
import android.text.format.Formatter
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.contract.Agreement
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ModelEntry

/** What the model file says about itself: its contract. */
class DetailsScreen(private val activity: Activity, parent: ViewGroup) : Screen {
    override val view: View = activity.layoutInflater.inflate(R.layout.details, parent, false)

    private val sections = view.findViewById<ViewGroup>(R.id.sections)
    private var model: ModelEntry.Ready? = null

    override fun render(model: ModelEntry.Ready) {
        if (this.model === model) return
        this.model = model
        sections.removeAllViews()
        val contract = model.contract
        network(model, contract)
        input(contract)
        parity(contract)
        accuracy(contract)
        origin(contract)
        classes(contract)
    }

    private fun network(model: ModelEntry.Ready, contract: Contract) {
        val network = contract.network
        section(
            R.string.details_network,
            R.string.details_file to
                "${model.file.name}, ${Formatter.formatShortFileSize(activity, model.file.length())}",
            R.string.details_method to listOfNotNull(network.method, network.backbone).joinToString(),
            R.string.details_stages to network.stages?.toString(),
            R.string.details_heads to listOfNotNull(network.heads, network.head).joinToString().ifEmpty { null },
            R.string.details_precision to contract.precision,
            R.string.details_runtime to contract.minimumRuntime
        )
    }

    private fun input(contract: Contract) = section(
        R.string.details_input,
        R.string.details_resize to activity.getString(R.string.details_resize_value, contract.resize),
        R.string.details_crop to activity.getString(R.string.details_crop_value, contract.crop),
        R.string.details_tensor to "${contract.layout.name}, ${contract.dtype.name.lowercase()}",
        R.string.details_top_k to contract.topK?.toString(),
        R.string.none_of_these to noneOfThese(contract)
    )

    private fun noneOfThese(contract: Contract): String? = when {
        !contract.givesUnknownScore -> null
        contract.unknown == null -> activity.getString(R.string.details_none_unknown)
        else -> contract.unknown.run { activity.getString(R.string.details_none, threshold, percent(kept)) }
    }

    private fun parity(contract: Contract) {
        val parity = contract.parity
        section(
            R.string.details_parity,
            R.string.details_verdict to listOfNotNull(parity.status, parity.reason).joinToString(": "),
            R.string.details_gate to parity.gate,
            R.string.details_golden to parity.golden?.let(::words),
            R.string.details_photos to parity.photos?.let(::words)
        )
    }

    private fun accuracy(contract: Contract) {
        val resizes = contract.resizes.map { (rule, top1) -> "$rule ${percent(top1)}" }
        section(
            R.string.details_accuracy,
            R.string.details_val to contract.valTop1?.let(::percent),
            R.string.details_top1 to contract.parity.photos?.top1?.let(::percent),
            R.string.details_resizes to resizes.joinToString("\n").ifEmpty { null }
        )
    }

    private fun origin(contract: Contract) = section(
        R.string.details_origin,
        R.string.details_created to contract.created.substringBefore('.').replace('T', ' '),
        R.string.details_tools to contract.tools.map { (tool, version) -> "$tool $version" }.joinToString("\n"),
        R.string.details_checkpoint to contract.checkpointSha256.take(DIGITS),
        R.string.details_contract to
            activity.getString(if (contract.isProtected) R.string.details_protected else R.string.details_unprotected)
    )

    private fun classes(contract: Contract) {
        val count = contract.classes.size
        val card = card(activity.resources.getQuantityString(R.plurals.classes, count, count))
        val list = activity.layoutInflater.inflate(R.layout.fact, card, false)
        list.findViewById<View>(R.id.fact_name).visibility = View.GONE
        list.findViewById<TextView>(R.id.fact_value).text = contract.classes.joinToString("\n")
        card.addView(list)
    }

    private fun words(agreement: Agreement): String = listOfNotNull(
        activity.resources.getQuantityString(R.plurals.images, agreement.images, agreement.images),
        activity.getString(R.string.details_same, percent(agreement.top1Agreement)),
        activity.getString(R.string.details_difference, agreement.maxAbsDifference),
        agreement.sqnrDb?.let { activity.getString(R.string.details_sqnr, it) }
    ).joinToString("\n")

    private fun percent(share: Double) = activity.getString(R.string.percent, share * PER_CENT)

    /** Facts that are null are left out, and a section without any. */
    private fun section(title: Int, vararg facts: Pair<Int, String?>) {
        if (facts.all { it.second == null }) return
        val card = card(activity.getString(title))
        for ((name, value) in facts) {
            if (value == null) continue
            val row = activity.layoutInflater.inflate(R.layout.fact, card, false)
            row.findViewById<TextView>(R.id.fact_name).setText(name)
            row.findViewById<TextView>(R.id.fact_value).text = value
            card.addView(row)
        }
    }

    private fun card(title: String): ViewGroup {
        val card = activity.layoutInflater.inflate(R.layout.section, sections, false) as ViewGroup
        card.findViewById<TextView>(R.id.section_title).text = title
        sections.addView(card)
        return card
    }

    private companion object {
        const val PER_CENT = 100
        const val DIGITS = 12
    }
}
