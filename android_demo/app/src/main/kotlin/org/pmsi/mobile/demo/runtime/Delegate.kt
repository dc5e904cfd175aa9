package org.pmsi.mobile.demo.runtime

/** What a runtime computes with; [id] is its name on the command line and in results. */
enum class Delegate(val id: String) {
    CPU("cpu"),
    GPU("gpu"),
    NNAPI("nnapi"),
    XNNPACK("xnnpack")
    ;

    /** As people write it. */
    val title: String get() = id.uppercase()

    companion object {
        /** Null for a name that is none. */
        fun of(id: String): Delegate? = entries.firstOrNull { it.id == id }
    }
}
