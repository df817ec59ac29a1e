"""What the machine says in words of its own, in the person's language. Everything else it says is a document's."""

from services.core.contracts.conversation import Reason
from services.core.text.language import detect_language

HANDED_OFF = "I am handing this to a person, who gets our conversation and answers here."
SAID = {
    Reason.NO_EVIDENCE: "I found nothing about this in the documents. " + HANDED_OFF,
    Reason.OUT_OF_SCOPE: "This is not something the documents cover. " + HANDED_OFF,
    Reason.WEAK_EVIDENCE: "I found nothing that answers this for certain. " + HANDED_OFF,
    Reason.INSUFFICIENT_COVERAGE: "What I found covers only a part of your question. " + HANDED_OFF,
    Reason.CONFLICTING_SOURCES: "The documents contradict each other about this. " + HANDED_OFF,
    Reason.EVALUATOR_LOW: "I am sorry that I could not help. " + HANDED_OFF,
    Reason.LLM_ERROR: "I cannot answer this at the moment. " + HANDED_OFF,
    Reason.ASKED_FOR_HUMAN: HANDED_OFF,
}
HANDED_OFF_IN = {
    "de": "Ich gebe das an einen Menschen weiter. Er bekommt unser Gespräch und antwortet hier.",
    "fr": "Je transmets ceci à une personne, qui reçoit notre conversation et répond ici.",
    "es": "Paso esto a una persona, que recibe nuestra conversación y responde aquí.",
    "it": "Passo la richiesta a una persona, che riceve la nostra conversazione e risponde qui.",
    "nl": "Ik geef dit door aan een medewerker, die ons gesprek krijgt en hier antwoordt.",
    "pl": "Przekazuję to człowiekowi, który dostanie naszą rozmowę i odpowie tutaj.",
    "pt": "Passo isto a uma pessoa, que recebe a nossa conversa e responde aqui.",
}
NOT_SURE_IN = {
    "de": "Darauf finde ich keine sichere Antwort. ",
    "fr": "Je ne trouve pas de réponse sûre. ",
    "es": "No encuentro una respuesta segura. ",
    "it": "Non trovo una risposta sicura. ",
    "nl": "Ik vind hier geen zeker antwoord op. ",
    "pl": "Nie znajduję pewnej odpowiedzi. ",
    "pt": "Não encontro uma resposta segura. ",
}
GREETING = "Hello. What would you like to know?"
WELCOME = "You are welcome. Write again at any time."
SAY_SOMETHING = "Please write what you would like to know, in a sentence. Or write that you want a person."
ABOUT_US = (
    "I am a program. I answer questions from this company's help pages, in their own words and with their source. "
    "When I am not sure, or when you ask for one, a person takes over."
)
RESOLVED = "Glad to hear it. This conversation is closed; write again at any time."


def handed_off(reason: Reason, question: str) -> str:
    """That a person takes over, and why; in a language other than English only that the answer is not sure."""
    language = detect_language(question)
    if language not in HANDED_OFF_IN:
        return SAID.get(reason, SAID[Reason.WEAK_EVIDENCE])
    why = "" if reason is Reason.ASKED_FOR_HUMAN else NOT_SURE_IN[language]
    return why + HANDED_OFF_IN[language]
